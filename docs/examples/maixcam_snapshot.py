"""Runs on a MaixCam: gives the picture it sees now as a JPEG at http://ADDRESS:8000/snapshot.jpg."""

from http.server import BaseHTTPRequestHandler, HTTPServer
import os
import sys

from maix import camera, image

WIDTH, HEIGHT = 640, 480
PORT = int(os.environ.get("SNAPSHOT_PORT", "8000"))
WARM_UP_FRAMES = 30  # the first ones are too dark
STALE_FRAMES = 2  # what the camera still holds from before the request

cam = camera.Camera(WIDTH, HEIGHT, buff_num=1)
cam.skip_frames(WARM_UP_FRAMES)


class Snapshot(BaseHTTPRequestHandler):
    """Answers every request for the picture with a new one."""

    timeout = 10  # a client that stops reading does not keep the others waiting

    def do_GET(self) -> None:
        """Send the picture."""
        if self.path.partition("?")[0] != "/snapshot.jpg":
            self.send_error(404)
            return
        cam.skip_frames(STALE_FRAMES)
        content = cam.read().to_format(image.Format.FMT_JPEG).to_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)


with HTTPServer(("", PORT), Snapshot) as server:
    sys.stderr.write(f"http://ADDRESS:{server.server_port}/snapshot.jpg\n")
    server.serve_forever()
