export const first = reader();
export const second = reader();

function reader() {
  let sum = 0;
  let count = 0;
  return (event, context) => {
    if (event.type !== 'END') {
      count++;
      sum += event.value;
      return;
    }
    const total = { type: 'TOTAL', count, sum };
    count = sum = 0;
    return context.publish(total);
  };
}
