// What a recipient's own program would do with the npm package: `node sftp.mjs PORT USER KEY-FILE HOST-KEY REMOTE LOCAL`.
// It goes on where the local file ends, less one read: when a connection breaks, ssh2 may hand out a last block whose
// end never came. HOST-KEY is base64 as in known_hosts; any other key is refused.
import { createWriteStream, existsSync, readFileSync, statSync, truncateSync } from "node:fs";
import Client from "ssh2-sftp-client";

const [port, username, keyFile, hostKey, remote, local] = process.argv.slice(2);
const block = 255 * 1024; // as much as OpenSSH answers at once
const sftp = new Client("recipient", { error: () => {}, end: () => {}, close: () => {} });
try {
  await sftp.connect({
    host: "127.0.0.1",
    port: Number(port),
    username,
    privateKey: readFileSync(keyFile),
    hostVerifier: (key) => key.toString("base64") === hostKey,
    readyTimeout: 60000,
  });
  const start = existsSync(local) ? Math.max(0, statSync(local).size - block) : 0;
  if (existsSync(local)) truncateSync(local, start);
  const readStreamOptions = { start, highWaterMark: block };
  await sftp.get(remote, createWriteStream(local, { flags: "a" }), { readStreamOptions });
  await sftp.stat(remote); // the answers to everything before this are here then, also to the closing of the file
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  await sftp.end().catch(() => {});
}
