/** Maps that remember the last so many things that were computed. */

/** Sets an entry and gives its value; beyond `most` entries (one or more) the one that was set first is forgotten. */
export function remember<Key, Value>(map: Map<Key, Value>, key: Key, value: Value, most: number): Value {
  map.delete(key);
  if (map.size >= most) {
    const oldest = map.keys().next();
    if (oldest.done !== true) map.delete(oldest.value);
  }
  map.set(key, value);
  return value;
}
