// Asking for a board's password, when its server does.

import { showSheet } from "./commands.js";
import { byId, fieldById } from "./elements.js";
import { remember } from "./place.js";

const PASSWORD = 3;

/**
 * Takes the server's goodbye: asks for the password if that is what it was about.
 * @param {import("./board.js").Board} board @param {string} room
 * @param {{reason: number}} bye
 */
export function passwordFor(board, room, { reason }) {
  if (reason !== PASSWORD) return;
  const wasWrong = board.person.password !== "";
  byId("password-note").textContent = wasWrong ? "That was not it." : "";
  const sheet = showSheet("password");
  fieldById("password-field").value = "";
  byId("password-form").onsubmit = (event) => {
    event.preventDefault();
    const password = fieldById("password-field").value;
    remember(`liveboard-password-${room}`, password, "sessionStorage");
    sheet.close();
    board.enter({ password });
  };
}
