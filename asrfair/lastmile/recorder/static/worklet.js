// Hands every sample of the first channel on, in order, with the number of the first one, so that a lost piece is noticed.
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(2048);
    this.filled = 0;
    this.sent = 0;
    this.port.onmessage = () => this.send();
  }

  send() {
    if (!this.filled) return;
    const samples = this.block.slice(0, this.filled);
    const first = this.sent;
    this.sent += this.filled; // not the length of samples: they are gone once they are posted
    this.filled = 0;
    this.port.postMessage({ first, samples }, [samples.buffer]);
  }

  process(inputs) {
    const channel = inputs[0][0];
    if (channel) {
      for (let i = 0; i < channel.length; i += 1) {
        this.block[this.filled] = channel[i];
        this.filled += 1;
        if (this.filled === this.block.length) this.send();
      }
    }
    return true;
  }
}

registerProcessor("tap", Tap);
