// The line to the server: opens it, opens it again when it is lost, and notices when nothing comes any more.
const SILENCE_MS = 5000; // the server says something every second
const FIRST_MS = 500, LAST_MS = 5000; // between two attempts

export function link({ onParts, onPicture, onState }) {
  let socket, timer, silence, wait = FIRST_MS;

  function open() {
    clearTimeout(timer);
    const line = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket = line;
    line.binaryType = "arraybuffer";
    line.onopen = () => { wait = FIRST_MS; listen(line); onState("open"); };
    line.onmessage = ({ data }) => {
      if (line !== socket) return;
      listen(line);
      if (typeof data === "string") onParts(JSON.parse(data));
      else onPicture(data);
    };
    line.onclose = () => { if (line === socket) lost(); };
  }

  function listen(line) {
    clearTimeout(silence);
    silence = setTimeout(() => { if (line === socket) { line.close(); lost(); } }, SILENCE_MS);
  }

  function lost() {
    clearTimeout(silence);
    clearTimeout(timer);
    socket = undefined;
    onState("gone");
    timer = setTimeout(open, wait);
    wait = Math.min(LAST_MS, wait * 1.6);
  }

  function now() { if (socket === undefined) open(); }

  addEventListener("online", now);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });
  open();
  return {
    now,
    ask(command) { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(command)); },
  };
}
