"""A browser that tests drive, by the protocol of WebDriver, without other packages."""

import json
import shutil
import subprocess
import time
import urllib.request

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1280,800"
).split()


class Browser:
    """Chromium without a screen, in a profile of its own."""

    def __init__(self, folder):
        command = [DRIVER, "--port=0"]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.driver = subprocess.Popen(command, **options)
        self.url = f"http://127.0.0.1:{self._port()}"
        self.downloads = folder / "downloads"
        chrome = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={folder / 'profile'}"],
            "prefs": {"download.default_directory": str(self.downloads)},
        }
        asked = {
            "goog:chromeOptions": chrome,
            "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"},
        }
        try:
            session = self._post("/session", {"capabilities": {"alwaysMatch": asked}})
        except BaseException:
            self.driver.terminate()
            raise
        self.url += f"/session/{session['sessionId']}"

    def _port(self):
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                return int(line.rstrip(".\n").split()[-1])
        raise RuntimeError("chromedriver did not start")

    def _post(self, path, said):
        return self._ask(path, data=json.dumps(said).encode(), method="POST")

    def _ask(self, path, **options):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, headers=headers, **options)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def close(self):
        try:
            self._ask("", method="DELETE")
        finally:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()

    def open(self, path):
        self._post("/url", {"url": path.as_uri()})

    def run(self, script, *args):
        """Return what the body of a function returns; promises are waited for."""
        return self._post("/execute/sync", {"script": script, "args": args})

    def until(self, script, seconds=20.0):
        """Wait until a script returns something true, and return that."""
        end = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.02)
        return found

    def entries(self, kind):
        return self._post("/se/log", {"type": kind})

    def requests(self):
        """Return the addresses that have been asked for since the last call."""
        messages = (
            json.loads(e["message"])["message"] for e in self.entries("performance")
        )
        sent = "Network.requestWillBeSent"
        return [m["params"]["request"]["url"] for m in messages if m["method"] == sent]

    def drag(self, *places, key=None):
        """Move to the first place (pixels in the window), press, and move to others."""
        actions = [_move(*places[0], 0), {"type": "pointerDown", "button": 0}]
        actions += [_move(*place) for place in places[1:]]
        self._act([*actions, {"type": "pointerUp", "button": 0}], key)

    def hover(self, x, y):
        self._act([_move(x + 1, y), _move(x, y)])

    def press(self, key):
        self._act([], key)

    def _act(self, actions, key=None):
        sources = []
        if key is not None:
            wait = [{"type": "pause", "duration": 0}] * (len(actions) - 1)
            keys = [{"type": "keyDown", "value": key}, *wait]
            keys.append({"type": "keyUp", "value": key})
            sources.append({"type": "key", "id": "keys", "actions": keys})
            actions = [{"type": "pause", "duration": 0}, *actions] if actions else []
        if actions:
            mouse = {"type": "pointer", "id": "mouse", "actions": actions}
            sources.append({**mouse, "parameters": {"pointerType": "mouse"}})
        self._post("/actions", {"actions": sources})


def _move(x, y, duration=15):
    place = {"x": round(x), "y": round(y)}
    return {"type": "pointerMove", "duration": duration, "origin": "viewport", **place}
