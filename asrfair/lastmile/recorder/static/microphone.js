// The microphone: samples as the device gives them, nothing suppressed, levelled or compressed by the browser.

const BEFORE_S = 0.4; // what was said just before the button is kept, so that no first sound is lost
const AFTER_S = 0.4;

export class Microphone {
  static async open() {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) throw new DOMException("", "SecurityError");
    const wanted = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
    const track = stream.getAudioTracks()[0];
    const settings = track.getSettings();
    const context = new AudioContext(settings.sampleRate ? { sampleRate: settings.sampleRate } : {});
    await context.audioWorklet.addModule("/worklet.js");
    const microphone = new Microphone(context, stream, settings);
    await context.resume();
    return microphone;
  }

  constructor(context, stream, settings) {
    this.context = context;
    this.stream = stream;
    this.rate = context.sampleRate;
    this.said = {
      echo_cancellation: settings.echoCancellation,
      noise_suppression: settings.noiseSuppression,
      auto_gain_control: settings.autoGainControl,
      sample_rate_hz: context.sampleRate,
    };
    this.onlevel = () => {};
    this.onend = () => {};
    this.recent = [];
    this.taken = null;
    this.expected = 0;
    this.node = new AudioWorkletNode(context, "tap", { numberOfInputs: 1, numberOfOutputs: 0 });
    this.node.port.onmessage = (message) => this.hear(message.data);
    this.source = context.createMediaStreamSource(stream);
    this.source.connect(this.node);
    stream.getAudioTracks()[0].addEventListener("ended", () => this.onend());
  }

  hear({ first, samples }) {
    const whole = first === this.expected;
    this.expected = first + samples.length;
    if (this.taken) {
      this.taken.push(samples);
      this.lost = this.lost || !whole;
    } else {
      this.recent.push(samples);
      let kept = this.recent.reduce((sum, one) => sum + one.length, 0);
      while (kept - this.recent[0].length >= BEFORE_S * this.rate) kept -= this.recent.shift().length;
    }
    let peak = 0;
    let square = 0;
    for (const value of samples) {
      peak = Math.max(peak, Math.abs(value));
      square += value * value;
    }
    this.peak = Math.max(this.peak, peak);
    this.onlevel(peak, Math.sqrt(square / samples.length));
  }

  begin() {
    this.taken = this.recent;
    this.recent = [];
    this.lost = false;
    this.peak = 0;
  }

  async end() {
    await new Promise((done) => { setTimeout(done, AFTER_S * 1000); });
    this.node.port.postMessage("send what you have");
    await new Promise((done) => { setTimeout(done, 60); });
    const taken = this.taken;
    this.taken = null;
    return { wav: wav(taken, this.rate), lost: this.lost, peak: this.peak };
  }

  close() {
    this.stream.getTracks().forEach((track) => track.stop());
    this.context.close();
  }
}

// 16-bit PCM, one channel, 44 bytes of header.
function wav(blocks, rate) {
  const length = blocks.reduce((sum, one) => sum + one.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, letters) => [...letters].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * length, true);
  let at = 44;
  for (const block of blocks) {
    for (const value of block) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(value * 32768))), true);
      at += 2;
    }
  }
  return new Blob([view.buffer], { type: "audio/wav" });
}
