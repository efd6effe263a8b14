def main_sync():
    return 0
