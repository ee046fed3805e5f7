"use strict";
(() => {
  const audio = document.getElementById("audio");
  const track = document.getElementById("track");
  const playhead = document.getElementById("playhead");
  const duration = Number(track.dataset.duration);

  function show() {
    playhead.hidden = false;
    playhead.style.left = `${(100 * audio.currentTime) / duration}%`;
    track.setAttribute("aria-valuenow", audio.currentTime.toFixed(1));
    track.setAttribute("aria-valuetext", `${audio.currentTime.toFixed(1)} seconds`);
  }
  function follow() {
    show();
    if (!audio.paused) requestAnimationFrame(follow);
  }
  function seek(seconds) {
    audio.currentTime = Math.min(Math.max(seconds, 0), duration);
    show();
  }
  function play(seconds) {
    seek(seconds);
    audio.play();
  }

  audio.addEventListener("play", follow);
  audio.addEventListener("seeked", show);
  track.addEventListener("click", (event) => {
    const box = track.getBoundingClientRect();
    play((duration * (event.clientX - box.left)) / box.width);
  });
  track.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 };
    if (event.key in moves) seek(audio.currentTime + moves[event.key]);
    else if (event.key === "Home") seek(0);
    else if (event.key === "End") seek(duration);
    else if (event.key === " ") audio.paused ? audio.play() : audio.pause();
    else return;
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("button[data-seek]")) {
    button.addEventListener("click", () => play(Number(button.dataset.seek)));
  }
})();
