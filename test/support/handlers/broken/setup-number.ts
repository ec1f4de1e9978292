export const setup = 5;

export function onJob(): void {
  // takes the event
}
