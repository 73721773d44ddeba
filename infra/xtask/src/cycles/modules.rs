//! The modules of a crate, and the files that their paths lead to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context, Result};

use super::syntax::{Import, Inner, Path, Source};

/// The files that each file of a crate needs.
pub(super) type Edges = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// More steps than any path through re-exports has; a path that leads back to itself ends here.
const MAX_STEPS: usize = 32;

/// A number of a module in its crate.
type Id = usize;

struct Module {
    file: PathBuf,
    parent: Option<Id>,
    children: HashMap<String, Id>,
    source: Source,
}

/// The modules of one crate; the first is its root.
pub(super) struct Crate {
    modules: Vec<Module>,
}

/// Where a path leads.
#[derive(Clone, Copy)]
enum Target {
    Module(Id),
    /// Something that this module defines.
    ItemOf(Id),
}

impl Crate {
    /// Returns the crate with this root. `read` returns the text of a file, if there is one.
    ///
    /// # Errors
    /// A module without a file, or a file that is no Rust.
    pub(super) fn read(file: &FilePath, read: &dyn Fn(&FilePath) -> Option<String>) -> Result<Self> {
        let mut found = Self { modules: Vec::new() };
        let folder = file.parent().context("a file in no folder")?;
        found.add_file(file.to_owned(), folder, None, read)?;
        Ok(found)
    }

    /// Returns what each file needs of the others: a `use`, or a path in its code from `crate` or `super`, that leads to
    /// something defined in another file. What a file only passes on (`pub use`) counts for those who use it from there. A
    /// module that calls its own modules by their names (`child::run()`) dispatches to them and does not need them to be read.
    pub(super) fn edges(&self) -> Edges {
        let mut edges = BTreeMap::new();
        for (id, module) in self.modules.iter().enumerate() {
            let Source { imports, paths, names, .. } = &module.source;
            let needs =
                |import: &&Import| !import.public || import.name.as_ref().is_some_and(|name| names.contains(name));
            let paths = imports.iter().filter(needs).map(|import| &import.path).chain(paths);
            let targets = paths.filter_map(|path| self.resolve(id, path, 0));
            let files = targets.map(|(Target::Module(to) | Target::ItemOf(to))| &self.modules[to].file);
            let needed: &mut BTreeSet<PathBuf> = edges.entry(module.file.clone()).or_default();
            needed.extend(files.filter(|file| **file != module.file).cloned());
        }
        edges
    }

    fn add_file(
        &mut self,
        file: PathBuf,
        folder: &FilePath,
        parent: Option<Id>,
        read: &dyn Fn(&FilePath) -> Option<String>,
    ) -> Result<Id> {
        let text = read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("{} is no Rust", file.display()))?;
        self.add(file, folder, parent, Source::of(&syntax.items), read)
    }

    /// Adds a module whose own modules have their files in `folder`.
    fn add(
        &mut self,
        file: PathBuf,
        folder: &FilePath,
        parent: Option<Id>,
        mut source: Source,
        read: &dyn Fn(&FilePath) -> Option<String>,
    ) -> Result<Id> {
        let inner = std::mem::take(&mut source.modules);
        let id = self.modules.len();
        self.modules.push(Module { file: file.clone(), parent, children: HashMap::new(), source });
        for Inner { name, source, file: said } in inner {
            let inside = folder.join(&name);
            let child = match (source, said) {
                (Some(source), _) => self.add(file.clone(), &inside, Some(id), source, read)?,
                (None, Some(said)) => {
                    let path = file.parent().context("a file in no folder")?.join(said);
                    self.add_file(path, &inside, Some(id), read)?
                }
                (None, None) => {
                    let (beside, within) = (folder.join(format!("{name}.rs")), inside.join("mod.rs"));
                    let path = if read(&beside).is_some() { beside } else { within };
                    self.add_file(path, &inside, Some(id), read)?
                }
            };
            self.modules[id].children.insert(name, child);
        }
        Ok(id)
    }

    /// Where a path in the module leads; nothing if that is outside of the crate.
    fn resolve(&self, mut from: Id, path: &[String], steps: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => from = 0,
            "self" => {}
            "super" => {
                from = self.modules[from].parent?;
                // The rest is relative to the parent, and may go up further.
                return if rest.is_empty() {
                    Some(Target::Module(from))
                } else {
                    self.resolve_super(from, rest, steps)
                };
            }
            _ => return self.lookup(from, path, steps),
        }
        self.lookup_or_here(from, rest, steps)
    }

    fn resolve_super(&self, from: Id, rest: &[String], steps: usize) -> Option<Target> {
        if rest[0] == "super" { self.resolve(from, rest, steps) } else { self.lookup_or_here(from, rest, steps) }
    }

    /// What [`lookup`](Self::lookup) finds, or else something that the module defines by a macro.
    fn lookup_or_here(&self, module: Id, path: &[String], steps: usize) -> Option<Target> {
        if path.is_empty() {
            return Some(Target::Module(module));
        }
        self.lookup(module, path, steps).or(Some(Target::ItemOf(module)))
    }

    /// What these names lead to, seen from inside the module.
    fn lookup(&self, id: Id, path: &[String], steps: usize) -> Option<Target> {
        if steps > MAX_STEPS {
            return None;
        }
        let module = &self.modules[id];
        let (name, rest) = path.split_first()?;
        if let Some(child) = module.children.get(name) {
            return self.lookup_or_here(*child, rest, steps + 1);
        }
        if module.source.items.contains(name) {
            return Some(Target::ItemOf(id));
        }
        let imported = |path: &Path, names: &[String]| match self.resolve(id, path, steps + 1)? {
            Target::Module(module) if !names.is_empty() => self.lookup(module, names, steps + 1),
            target => Some(target),
        };
        let imports = &module.source.imports;
        let named = imports.iter().filter(|import| import.name.as_ref() == Some(name));
        let mut named = named.filter_map(|import| imported(&import.path, rest));
        let mut globs = imports.iter().filter(|i| i.name.is_none()).filter_map(|i| imported(&i.path, path));
        named.next().or_else(|| globs.next())
    }
}
