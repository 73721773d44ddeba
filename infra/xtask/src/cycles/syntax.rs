//! What a module's source says of other modules.

use std::collections::HashSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

/// The segments of a path, such as `["crate", "face", "Embedding"]`.
pub(super) type Path = Vec<String>;

/// A `use` of one name.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) path: Path,
    /// The name that it brings in; nothing for a glob.
    pub(super) name: Option<String>,
    /// Whether it offers the name to others and so need not use it itself.
    pub(super) public: bool,
}

/// What one module says, without the modules inside it.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The names of its items, but for modules and imports.
    pub(super) items: HashSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths in its code that begin at the crate's root or at the module above.
    pub(super) paths: Vec<Path>,
    /// First segments of all paths in its code.
    pub(super) names: HashSet<String>,
    pub(super) modules: Vec<Inner>,
}

/// A module declared in another one.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: String,
    /// Its source, if it is in the same file.
    pub(super) source: Option<Source>,
    /// What `#[path]` says.
    pub(super) file: Option<String>,
}

impl Source {
    /// Returns what these items say.
    pub(super) fn of(items: &[Item]) -> Self {
        let mut source = Self::default();
        // Who reads a file need not read its tests, which may use everything.
        for item in items.iter().filter(|item| !is_test(item)) {
            match item {
                Item::Mod(module) => source.modules.push(Inner {
                    name: module.ident.to_string(),
                    source: module.content.as_ref().map(|(_, items)| Self::of(items)),
                    file: module.attrs.iter().find_map(path_attribute),
                }),
                Item::Use(import) if import.leading_colon.is_none() => {
                    let public = !matches!(import.vis, Visibility::Inherited);
                    imports(&import.tree, &mut Vec::new(), public, &mut source.imports);
                }
                Item::Use(_) => {}
                other => {
                    source.items.extend(name(other));
                    source.visit_item(other);
                }
            }
        }
        source
    }

    /// Adds the paths among the tokens of a macro, which have no syntax of their own.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.add_path(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.add_path(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add_path(path);
    }

    fn add_path(&mut self, path: Path) {
        self.names.extend(path.first().cloned());
        if path.len() > 1 && ["crate", "super"].contains(&path[0].as_str()) {
            self.paths.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.add_path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    /// Who may use an item is no use of it.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.add_tokens(called.tokens.clone());
        syn::visit::visit_macro(self, called);
    }

    /// Inside a function.
    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        let mut found = Vec::new();
        imports(&import.tree, &mut Vec::new(), false, &mut found);
        self.paths.extend(found.into_iter().map(|import| import.path));
    }
}

fn imports(tree: &UseTree, prefix: &mut Path, public: bool, found: &mut Vec<Import>) {
    let mut add = |last: Option<String>, name: Option<String>| {
        let mut path = prefix.clone();
        // `use a::{self}` is `use a`.
        path.extend(last.clone().filter(|last| last != "self" || prefix.is_empty()));
        let name = name.map(|name| if name == "self" { path.last().cloned().unwrap_or_default() } else { name });
        found.push(Import { path, name, public });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            imports(&path.tree, prefix, public, found);
            prefix.pop();
        }
        UseTree::Name(name) => add(Some(name.ident.to_string()), Some(name.ident.to_string())),
        UseTree::Rename(rename) => add(Some(rename.ident.to_string()), Some(rename.rename.to_string())),
        UseTree::Glob(_) => add(None, None),
        UseTree::Group(group) => group.items.iter().for_each(|tree| imports(tree, prefix, public, found)),
    }
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Whether the item is compiled for tests alone.
fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Const(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    let test = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    };
    attributes.iter().any(test)
}

fn path_attribute(attribute: &syn::Attribute) -> Option<String> {
    let pair = attribute.meta.require_name_value().ok().filter(|pair| pair.path.is_ident("path"))?;
    match &pair.value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}
