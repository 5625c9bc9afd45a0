// A recipient's own program with the npm package: KEY holds the armored private key; a message comes in, content goes out.
import { buffer } from "node:stream/consumers";
import * as openpgp from "openpgp";

const message = await openpgp.readMessage({ binaryMessage: new Uint8Array(await buffer(process.stdin)) });
const decryptionKeys = await openpgp.readPrivateKey({ armoredKey: process.env.KEY });
const { data } = await openpgp.decrypt({ message, decryptionKeys, format: "binary" });
process.stdout.write(data);
