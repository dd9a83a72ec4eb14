/** Opening descriptors, for all parts of the embedded network: what one has opened the next has open, within the hour. */
import { openDescriptor, type Descriptor, type OnionAddress, type TimePeriod } from '../../../../core/onion/index.ts';
import { remember } from '../../../../core/onion/remembered.ts';

const openedLast = new Map<string, Descriptor>();
const mostOpened = 64;

/**
 * As `openDescriptor` without a client key; throws what that throws. Certificates expire on the hour, and nothing else of a
 * descriptor has to do with the time, so that an answer is good until the next. `now` in unix seconds.
 */
export function openOnce(text: string, address: OnionAddress, period: TimePeriod, now: number): Descriptor {
  const name = `${Math.ceil(now / 3_600)} ${address} ${period.number}/${period.lengthMinutes} ${text}`;
  const known = openedLast.get(name);
  if (known !== undefined) return known;
  const descriptor = openDescriptor(text, { address, periods: [period], now });
  return remember(openedLast, name, descriptor, mostOpened);
}
