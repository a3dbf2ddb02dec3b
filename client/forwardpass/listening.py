"""Listen addresses, `HOST:PORT`: their form, and the error of one that cannot be listened on."""


class ListenError(Exception):
    """The address cannot be listened on; the sentence says why."""


def is_host_and_port(address: str) -> bool:
    """Return whether a text is `HOST:PORT` with a port from 0 to 65535; 0 takes a free one."""
    host, _, port = address.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and int(port) <= 65_535
