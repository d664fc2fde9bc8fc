// Stretches of the time axis, drawn behind the candles: what is missing is hatched, what was repaired is tinted.

const HATCH_PX = 7;
const NARROWEST_PX = 3;

function hatch(pen, left, wide, high, colour) {
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, wide, high);
  pen.clip();
  pen.globalAlpha = 0.1;
  pen.fillStyle = colour;
  pen.fillRect(left, 0, wide, high);
  pen.globalAlpha = 0.75;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (let at = left - high; at < left + wide; at += HATCH_PX) {
    pen.moveTo(at, high);
    pen.lineTo(at + high, 0);
  }
  pen.stroke();
  pen.restore();
}

function tint(pen, left, wide, high, colour) {
  pen.save();
  pen.globalAlpha = 0.22;
  pen.fillStyle = colour;
  pen.fillRect(left, 0, wide, high);
  pen.restore();
}

/** A primitive of Lightweight Charts. */
export class Spans {
  #chart = null;
  #redraw = () => {};
  #spans = [];

  /** Show these: {from, to, colour, isHatched}, from and to in bars since the first one of the axis. */
  show(spans) {
    this.#spans = spans;
    this.#redraw();
  }

  attached({ chart, requestUpdate }) {
    this.#chart = chart;
    this.#redraw = requestUpdate;
  }

  paneViews() {
    return [{ zOrder: () => "bottom", renderer: () => ({ draw: (target) => this.#draw(target) }) }];
  }

  #draw(target) {
    const axis = this.#chart.timeScale();
    const first = axis.logicalToCoordinate(0); // it knows the middles of whole bars only
    const barPx = axis.logicalToCoordinate(1) - first;
    target.useMediaCoordinateSpace(({ context, mediaSize }) => {
      for (const { from, to, colour, isHatched } of this.#spans) {
        const left = first + (from - 0.5) * barPx;
        const wide = Math.max(NARROWEST_PX, (to - from) * barPx);
        if (left > mediaSize.width || left + wide < 0) continue;
        (isHatched ? hatch : tint)(context, left, wide, mediaSize.height, colour);
      }
    });
  }
}
