use super::*;

/// Returns the cycles of a made-up crate, as file names.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new("/c").join(name) == path);
        file.map(|(_, text)| (*text).to_owned())
    };
    let edges = Crate::read(&Path::new("/c").join(files[0].0), &read).unwrap().edges();
    let name = |path: &PathBuf| path.strip_prefix("/c").unwrap().display().to_string();
    cycles(&edges).iter().map(|cycle| cycle.iter().map(name).collect::<Vec<_>>().join(" -> ")).collect()
}

#[test]
fn files_that_use_one_after_the_other_have_no_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
        ("a.rs", "use crate::b::B; pub struct A(B, crate::c::C);"),
        ("b.rs", "use super::c; pub struct B(c::C);"),
        ("c.rs", "pub struct C; #[cfg(test)] mod tests { use super::*; fn test() -> C { C } }"),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}

#[test]
fn two_files_that_use_each_other_are_a_cycle() {
    let files = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::{a::A, std::fmt}; pub struct B;"),
    ];
    assert_eq!(cycles_of(&files), ["a.rs -> b.rs -> a.rs"]);
}

#[test]
fn a_name_that_the_root_passes_on_counts_for_the_file_that_defines_it() {
    let files = [
        ("lib.rs", "mod a; mod b; mod c; pub use c::B;"),
        ("a.rs", "use crate::B; pub struct A(B);"),
        ("b.rs", "use crate::a::A; pub struct B(A);"),
        ("c.rs", "pub use super::b::*;"),
    ];
    assert_eq!(cycles_of(&files), ["a.rs -> b.rs -> a.rs"]);
}

#[test]
fn a_file_that_uses_what_it_passes_on_needs_it() {
    let parent = "mod child; pub use child::Child; pub struct Parent;";
    let child = "use super::Parent; pub struct Child(Parent);";
    let files = |parent| [("lib.rs", "mod parent;"), ("parent.rs", parent), ("parent/child.rs", child)];
    assert_eq!(cycles_of(&files(parent)), Vec::<String>::new());
    let using = "mod child; pub use child::Child; pub struct Parent; fn make() -> Child { todo!() }";
    assert_eq!(cycles_of(&files(using)), ["parent/child.rs -> parent.rs -> parent/child.rs"]);
}

#[test]
fn paths_in_code_and_in_macros_count() {
    for code in [
        "fn f() { crate::b::g(); }",
        "fn f() { use crate::b::g; g(); }",
        "fn f() { println!(\"{}\", crate::b::g()); }",
        "fn f() -> Vec<crate::b::B> { todo!() }",
        "use crate::b; fn f() { b::g(); }",
    ] {
        let files = [("main.rs", "mod a; mod b;"), ("a.rs", code), ("b.rs", "use super::a::f; pub fn g() {}")];
        assert_eq!(cycles_of(&files), ["a.rs -> b.rs -> a.rs"], "{code}");
    }
}

#[test]
fn a_long_cycle_through_folders_is_named_whole() {
    let files = [
        ("lib.rs", "mod a; mod d;"),
        ("a.rs", "mod b; mod c; use b::g; pub fn f() { g() }"),
        ("a/b.rs", "use super::c::h; pub fn g() { h() }"),
        ("a/c/mod.rs", "pub fn h() { crate::d::i() }"),
        ("d.rs", "use crate::a; pub fn i() { a::f() }"),
    ];
    assert_eq!(cycles_of(&files), ["a/b.rs -> a/c/mod.rs -> d.rs -> a.rs -> a/b.rs"]);
}

#[test]
fn a_module_may_dispatch_to_its_own_and_tests_may_use_everything() {
    let files = [
        ("main.rs", "mod a; pub struct Shared; fn main() { a::run(Shared) }"),
        ("a.rs", "use crate::Shared; mod b; pub fn run(_: Shared) { b::run() }"),
        (
            "a/b.rs",
            "pub fn run() {} #[cfg(test)] mod tests { use crate::a::run; #[test] fn all() { run(crate::Shared) } }",
        ),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}

#[test]
fn what_is_outside_of_the_crate_is_nothing() {
    let files = [
        ("lib.rs", "mod a; use anyhow::Result; use std::a::B; fn f() -> Result<()> { a::f(); ::other::a::f() }"),
        ("a.rs", "use other::lib::f; use anyhow; pub fn f() { anyhow::bail!(\"lib::f\") }"),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}

#[test]
fn a_module_without_a_file_is_an_error() {
    let read = |path: &Path| (path == Path::new("/c/lib.rs")).then(|| "mod absent;".to_owned());
    let error = Crate::read(Path::new("/c/lib.rs"), &read).err().unwrap();
    assert!(error.to_string().contains("/c/absent/mod.rs cannot be read"), "{error}");
}
