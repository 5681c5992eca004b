"use strict";
// Filters the queries by class and by whether the label changed. All queries are in the page already.
const form = document.getElementById("filter");
if (form) {
  const entries = [...document.querySelectorAll(".queries > li")];
  const shown = document.getElementById("shown");
  const update = () => {
    const name = form.elements.class.value;
    let count = 0;
    for (const entry of entries) {
      const fits = (name === "" || entry.dataset.classes.split(" ").includes(name)) &&
        (!form.elements.changed.checked || entry.dataset.changed === "yes");
      entry.hidden = !fits;
      count += fits;
    }
    shown.textContent = `${count} of ${entries.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}
