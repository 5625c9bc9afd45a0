// What a recipient's own program would do with the npm package: `node age.mjs keygen KIND | encrypt | decrypt`.
// Input comes from standard input and output goes to standard output; KEY holds the public or the private key.
import { buffer } from "node:stream/consumers";
import * as age from "age-encryption";

const [command, kind] = process.argv.slice(2);
if (command === "keygen") {
  const identity = kind === "hybrid" ? await age.generateHybridIdentity() : await age.generateX25519Identity();
  console.log(`# public key: ${await age.identityToRecipient(identity)}\n${identity}`);
} else if (command === "encrypt") {
  const encrypter = new age.Encrypter();
  encrypter.addRecipient(process.env.KEY);
  process.stdout.write(await encrypter.encrypt(new Uint8Array(await buffer(process.stdin))));
} else if (command === "decrypt") {
  const decrypter = new age.Decrypter();
  decrypter.addIdentity(process.env.KEY);
  process.stdout.write(await decrypter.decrypt(new Uint8Array(await buffer(process.stdin))));
} else {
  throw new Error(`unknown command ${command}`);
}
