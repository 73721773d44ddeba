// Pictures out of files and folders, as a person drops or chooses them.

/** The student of a path: the name of the folder that holds the file; empty where none does. */
export const studentOf = (path) => path.split('/').at(-2) ?? '';

/** Whether a file is none that anybody means to enrol, as bulk enrolment has it. */
export function unwanted(path) {
  const name = path.split('/').at(-1);
  return name.startsWith('.') || name === 'Thumbs.db' || /^readme(\.|$)/i.test(name);
}

/** Whether a file of a folder is a picture by its name; the others are refused unread. */
export const isPicture = (path) => /\.(jpe?g|png|webp)$/i.test(path);

/** The entries `{file, path}` of a file field. */
export const entriesOf = (files) => [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** The entries of what was dropped, folders and all that is in them. */
export async function dropped(transfer) {
  // The browser empties the list as soon as this turn ends. What no file system holds, as a picture dragged out of
  // another page, has no entry.
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  const roots = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile()).filter(Boolean);
  const entries = [];
  for (const root of roots) {
    if (root instanceof File) entries.push({ file: root, path: root.name });
    else await collect(root, root.name, entries);
  }
  return entries.sort((a, b) => a.path.localeCompare(b.path));
}

async function collect(entry, path, entries) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    entries.push({ file, path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A reader gives at most a hundred at a time, and none at the end.
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return;
    for (const child of batch) await collect(child, `${path}/${child.name}`, entries);
  }
}
