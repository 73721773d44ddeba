//! What no compiler checks of the crates.

use anyhow::{Result, ensure};

use crate::functions::functions;
use crate::workspace::cargo_command;

/// Fails if a function that carries no models links the face engine.
pub(crate) fn edges() -> Result<()> {
    for function in functions()?.values().filter(|function| !function.faces) {
        let program = function.program();
        let mut tree = cargo_command();
        tree.args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package", &program]);
        let tree = tree.output()?;
        ensure!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
        let tree = String::from_utf8(tree.stdout)?;
        ensure!(tree.contains("aws-sdk-dynamodb"), "the tree of {program} is not what it was taken for");
        ensure!(!tree.contains("tract") && !tree.contains("attendance-vision"), "{program} links the face engine");
    }
    Ok(())
}
