/** The endpoints of a node as the cache keeps them. Whoever may write to Redis may write anything: only the form is looked at. */
const maximumText = 4_096;
const maximumEndpoints = 8;
const endpointForm = /^[a-z][a-z0-9]*:[\x21-\x7e]{1,200}$/;

export function writeSeen(endpoints: readonly string[]): string {
  return JSON.stringify(endpoints.slice(0, maximumEndpoints));
}

/** The endpoints in a cached text; none when it is anything else. */
export function readSeen(text: string | undefined): readonly string[] {
  if (text === undefined || text.length > maximumText) return [];
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return [];
  }
  if (!Array.isArray(value) || value.length > maximumEndpoints) return [];
  return value.filter((item): item is string => typeof item === 'string' && endpointForm.test(item));
}
