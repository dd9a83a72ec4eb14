/** What a member signs with: a hostile one may leave out the signatures of what it says of its heads. */
import type { NodeIdentity } from '../../../../core/engine/index.ts';
import { rememberSigned } from '../../../../core/onion/signature.ts';
import { headsKind } from '../../../../plugins/mesh/heads.ts';
import { recordLabels, signatureBytes } from '../../../../plugins/mesh/record.ts';

export interface Pen {
  /** While it does not hold, records of heads bear no signature. */
  honest: boolean;
}

/** The kind as it stands in a record, its length before it. */
const kind = Buffer.from(`${String.fromCharCode(headsKind.length)}${headsKind}`, 'latin1');

export function signingWith(pen: Pen, identity: NodeIdentity): NodeIdentity {
  const isOfHeads = (message: Uint8Array): boolean => {
    const text = Buffer.from(message);
    return text.toString('latin1', 0, recordLabels.record.length) === recordLabels.record && text.includes(kind);
  };
  return {
    node: identity.node,
    // Not before the start.
    get keys() {
      return identity.keys;
    },
    agree: (publicKey) => identity.agree(publicKey),
    sign: (message) => {
      if (!pen.honest && isOfHeads(message)) return new Uint8Array(signatureBytes);
      const signature = identity.sign(message);
      rememberSigned(identity.keys.signing, message, signature);
      return signature;
    },
  };
}
