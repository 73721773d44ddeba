use comfy_table::{Table, presets};

/// Returns a table without lines, which people can read and `awk` can cut.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
