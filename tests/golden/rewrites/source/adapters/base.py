class BaseAdapter:
    pass
