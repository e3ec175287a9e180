"""How the proxies of the tests answer over HTTP."""

from http.server import BaseHTTPRequestHandler


class AnsweringHandler(BaseHTTPRequestHandler):
    """A handler that sends whole answers, and logs nothing."""

    protocol_version = "HTTP/1.1"
    # Send head and body in one packet.
    wbufsize = 64 * 1024

    def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Send an answer; its length is added to the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
