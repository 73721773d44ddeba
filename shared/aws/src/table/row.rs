use std::collections::HashMap;
use std::fmt::Debug;

use attendance::ports::StoreError;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A row: its attributes by name.
pub(crate) type Row = HashMap<String, AttributeValue>;

/// A row of nothing but its key.
pub(crate) fn key(pk: &str, sk: &str) -> Row {
    Row::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

/// The value of a text attribute.
pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// The value of a number attribute.
pub(crate) fn n(number: impl TryInto<u64, Error: Debug>) -> AttributeValue {
    AttributeValue::N(number.try_into().expect("sizes fit 64 bits").to_string())
}

/// The text of an attribute that every such row has.
pub(crate) fn text<'a>(row: &'a Row, name: &str) -> Result<&'a str, StoreError> {
    row.get(name).and_then(|v| v.as_s().ok()).map(String::as_str).ok_or_else(|| damaged(row, name))
}

/// The number of an attribute that every such row has.
pub(crate) fn number(row: &Row, name: &str) -> Result<u64, StoreError> {
    let digits = row.get(name).and_then(|v| v.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| damaged(row, name))
}

/// The number of an attribute that every such row has, as a size.
pub(crate) fn size(row: &Row, name: &str) -> Result<usize, StoreError> {
    usize::try_from(number(row, name)?).map_err(StoreError::damaged)
}

fn damaged(row: &Row, name: &str) -> StoreError {
    StoreError::damaged(format!("the row {:?} / {:?} has no usable {name}", row.get("pk"), row.get("sk")))
}

/// The row as a struct with a field per attribute; other attributes are ignored.
pub(crate) fn from_row<T: DeserializeOwned>(row: Row) -> Result<T, StoreError> {
    let (pk, sk) = (row.get("pk").cloned(), row.get("sk").cloned());
    let damaged = |error| StoreError::damaged(format!("the row {pk:?} / {sk:?} cannot be read: {error}"));
    serde_dynamo::from_item(row).map_err(damaged)
}

/// A struct with a field per attribute as a row.
pub(crate) fn to_row(fields: impl Serialize) -> Row {
    serde_dynamo::to_item(fields).expect("rows are structs of texts, numbers, bytes and sets")
}
