// The import form: sends the file itself, as the API takes it, then goes to the page that follows the job.
"use strict";

document.getElementById("import-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const file = form.elements.file.files[0];
  const said = document.getElementById("import-said");
  const query = new URLSearchParams({ name: file.name });
  for (const name of ["kind", "alliance"]) {
    if (form.elements[name].value) query.set(name, form.elements[name].value);
  }
  if (form.elements.dry_run.checked) query.set("dry_run", "true");
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    const answered = await fetch(`/api/imports?${query}`, {
      method: "POST",
      body: file,
      headers: { "X-CSRF-Token": form.dataset.csrf, "Content-Type": "application/octet-stream" },
    });
    const document_ = await answered.json();
    if (answered.ok) {
      location.assign(`/admin/jobs/${document_.id}`);
      return;
    }
    said.textContent = document_.detail;
    said.lang = "en";
  } catch (error) {
    said.textContent = String(error);
  }
  button.disabled = false;
  form.removeAttribute("data-sent");
});
