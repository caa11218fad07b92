// When those parts of a page are wanted that are not needed at once.

const SIGNS = /** @type {const} */ (["keydown", "pointerdown", "pointermove", "touchstart", "wheel", "focusin"]);

/**
 * Waits until somebody is about to need one of these: it comes into sight, or there is a hand at the page.
 * @param {readonly HTMLElement[]} elements
 * @returns {Promise<void>}
 */
export function wanted(elements) {
  return new Promise((resolve) => {
    const watch = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) finish();
    });
    const finish = () => {
      watch.disconnect();
      for (const sign of SIGNS) removeEventListener(sign, finish);
      resolve();
    };
    for (const each of elements) watch.observe(each);
    for (const sign of SIGNS) addEventListener(sign, finish, { passive: true });
  });
}
