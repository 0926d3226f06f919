# SPDX-License-Identifier: MIT
"""proxy: a wire between clients and the broker that loses one answer to Produce.

Frames pass unchanged until it is armed; then the next Produce request reaches the broker, and its
answer, once the broker has given it, is thrown away with the connection. Works in threads of its own.
"""
import socket
import struct
import threading

PRODUCE = 0


class Proxy:
    def __init__(self, target):
        """target() gives the (host, port) to connect to."""
        self.target, self.armed, self.lost = target, False, 0
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self):
        with self.lock:
            self.armed, self.lost = True, 0

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                Wire(self, client, socket.create_connection(self.target()))
            except OSError:
                client.close()

    def close(self):
        self.listener.close()


class Wire:
    """One connection, and the correlation id whose answer is to be lost."""

    def __init__(self, proxy, client, broker):
        self.proxy, self.client, self.broker = proxy, client, broker
        self.doomed = None
        for source, sink, look in ((client, broker, self.request), (broker, client, self.answer)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.pump, args=(source, sink, look), daemon=True).start()

    def pump(self, source, sink, look):
        """Whole frames from one to the other, as long as look(frame) says so."""
        stream = source.makefile("rb")
        try:
            while True:
                head = stream.read(4)
                if len(head) < 4:
                    break
                frame = stream.read(struct.unpack(">i", head)[0])
                if not look(frame):
                    break
                sink.sendall(head + frame)
        except OSError:
            pass  # the other side has gone
        for end in (self.client, self.broker):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was down already

    def request(self, frame):
        api, _, correlation = struct.unpack_from(">hhi", frame)
        with self.proxy.lock:
            if api == PRODUCE and self.proxy.armed:
                self.proxy.armed, self.doomed = False, correlation
        return True

    def answer(self, frame):
        if self.doomed is None or struct.unpack_from(">i", frame)[0] != self.doomed:
            return True
        self.proxy.lost += 1
        return False
