"""Starting and ending the servers that are measured."""

import signal
import socket
import subprocess
import sys
import time
import urllib.request

START_SECONDS = 90
STOP_SECONDS = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answers(url):
    try:
        with urllib.request.urlopen(url + "/_matrix/client/versions", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_until(what, condition, process):
    end = time.monotonic() + START_SECONDS
    while not condition():
        if process.poll() is not None:
            sys.exit(f"{what}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            sys.exit(f"{what}: not ready after {START_SECONDS} s")
        time.sleep(0.01)


def stop(process, sig=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(sig)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
