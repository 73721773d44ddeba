//! Numbers out of a shared library's dynamic symbols.

use std::collections::HashMap;

use attendance_models::FormatError;
use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSegment, ObjectSymbol};

/// The symbols that an ELF library exports, by name.
pub(super) struct Symbols<'a> {
    file: &'a str,
    by_name: HashMap<&'a [u8], &'a [u8]>,
}

impl<'a> Symbols<'a> {
    /// Returns the symbols of the library; `file` is the name that errors give.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes are not a 64-bit ELF file.
    pub(super) fn parse(file: &'a str, library: &'a [u8]) -> Result<Self, FormatError> {
        let elf = ElfFile64::<Endianness>::parse(library).map_err(|error| failure(file, error.to_string()))?;
        let mut by_name = HashMap::new();
        for symbol in elf.dynamic_symbols() {
            let bytes = elf.segments().find_map(|segment| segment.data_range(symbol.address(), symbol.size()).ok()?);
            if let (Ok(name), Some(bytes)) = (symbol.name_bytes(), bytes) {
                by_name.insert(name, bytes);
            }
        }
        Ok(Self { file, by_name })
    }

    /// Returns the `count` numbers that the symbol holds, little endian.
    ///
    /// # Errors
    /// [`FormatError`] if there is no such symbol, it holds more or less, or something that is no finite number.
    pub(super) fn floats(&self, name: &str, count: usize) -> Result<Vec<f32>, FormatError> {
        let bytes =
            self.by_name.get(name.as_bytes()).ok_or_else(|| failure(self.file, format!("there is no {name}")))?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if numbers.len() != count || !rest.is_empty() {
            return Err(failure(self.file, format!("{name} has {} bytes, not {count} numbers", bytes.len())));
        }
        let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(failure(self.file, format!("{name} holds what is no number")));
        }
        Ok(numbers)
    }
}

fn failure(file: &str, what: String) -> FormatError {
    FormatError { file: file.to_owned(), offset: 0, what }
}
