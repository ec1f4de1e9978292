/** A promise and the call that resolves it. */
export class Latch {
  readonly opened: Promise<void>;
  isOpen = false;
  readonly open: () => void;

  constructor() {
    let resolve!: () => void;
    this.opened = new Promise((settle) => {
      resolve = settle;
    });
    this.open = () => {
      this.isOpen = true;
      resolve();
    };
  }
}
