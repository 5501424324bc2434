"""Files and HTTP of a BG96 by plain AT commands."""

from .plain_at import Port


def ready(at: Port) -> Port:
    """Bring packet data up."""
    assert at.ask('AT+QICSGP=1,1,"iot";+QIACT=1') == ["OK"]
    return at


def data_mode(at: Port, command: str, data: bytes) -> bytes:
    """Give a command that answers CONNECT and takes these bytes; the answer after it."""
    at.send(command.encode() + b"\r")
    assert at.exactly(11) == b"\r\nCONNECT\r\n", command
    at.send(data)
    return at.until(b"OK\r\n")


def upload(at: Port, name: str, data: bytes, *more: int) -> bytes:
    """Put a file there."""
    return data_mode(at, ",".join([f'AT+QFUPL="{name}"', str(len(data)), *map(str, more)]), data)


def set_url(at: Port, url: str) -> None:
    assert data_mode(at, f"AT+QHTTPURL={len(url)},30", url.encode()) == b"\r\nOK\r\n"


def read(at: Port) -> bytes:
    """The response by QHTTPREAD, without its frame."""
    at.send(b"AT+QHTTPREAD=30\r")
    assert at.exactly(11) == b"\r\nCONNECT\r\n"
    end = b"\r\nOK\r\n\r\n+QHTTPREAD: 0\r\n"
    return at.until(end)[: -len(end)]


def request(web_host: str, total: int, path: str = "/post") -> bytes:
    """A whole POST request of exactly this many bytes."""
    for digits in range(1, 8):
        head = f"POST {path} HTTP/1.1\r\nHost: {web_host}\r\nContent-Length: {'0' * digits}\r\n\r\n"
        size = total - len(head)
        if len(str(size)) == digits:
            return head.replace("0" * digits + "\r\n\r\n", f"{size}\r\n\r\n").encode() + b"x" * size
    raise AssertionError(total)
