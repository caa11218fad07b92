// The relay that benchmarks.fanout measures against: Node's ws, its own broadcast loop, nothing else.
import { createRequire } from "node:module";
const require = createRequire(process.argv[2] + "/");
const { WebSocketServer, WebSocket } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false, backlog: 1024 }, () => {
  console.log(server.address().port);
});
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});
