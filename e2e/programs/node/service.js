// Counts its visitors in a file.
"use strict";

const fs = require("node:fs");
const http = require("node:http");

const FILE = "/data/visitors";
let visitors = fs.existsSync(FILE) ? Number(fs.readFileSync(FILE, "utf8")) : 0;

const answers = {
  "/health": () => "well",
  "/": () => {
    visitors += 1;
    fs.writeFileSync(`${FILE}.part`, String(visitors));
    fs.renameSync(`${FILE}.part`, FILE);
    return `visitor number ${visitors}`;
  },
};

const server = http.createServer((request, response) => {
  const answer = answers[request.url];
  response.writeHead(answer ? 200 : 404, { "Content-Type": "text/plain" });
  response.end(`${answer ? answer() : "nothing here"}\n`);
});

process.on("SIGTERM", () => {
  server.close(() => console.log("service: ended in order"));
});

server.listen(3000, () => console.log(`service: listening, ${visitors} visitors so far`));
