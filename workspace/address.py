"""Reserve the address to serve on, before anything slow is imported: a taken port must be known at once."""

import socket

from preflight import ExitCode, StartError


def bind(host: str, port: int) -> socket.socket:
    """Reserve the address without listening yet.

    Raises:
        StartError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # NOTE: without the protocol by name asyncio does not set TCP_NODELAY on the connections, and every answer
    # on a kept connection is 40 ms late.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        text = f"Cannot listen on {host}:{port}: {error.strerror}; free it or set PORT or a2a.port to another port"
        raise StartError(ExitCode.ADDRESS, text) from error
    return listener
