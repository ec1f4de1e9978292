function reader() {
  let sum = 0;
  let count = 0;
  return (event, context) => {
    if (event.type === 'END') return context.publish({ type: 'TOTAL', count, sum });
    count++;
    sum += event.value;
  };
}

export const first = reader();
export const second = reader();
