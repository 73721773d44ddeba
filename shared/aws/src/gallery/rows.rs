//! The gallery's rows, and where they lie.

use attendance::StudentId;
use attendance::ports::{EnrollmentId, StoreError};
use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use crate::table::{Expression, Row, Table, n, number, shard_of, size};

/// The number of the gallery's partitions. A recognition reads this many small rows; this many students' enrolments can
/// commit at the same instant. It is part of the table's layout: changing it means writing the table anew.
pub const SHARDS: usize = 8;

/// The sort key of a shard's row.
pub(super) const VERSION: &str = "version";

/// What the sort keys of erased pictures begin with.
pub(super) const GONE: &str = "gone#";

/// The partition of the student's shard.
pub(super) fn partition(student: &StudentId) -> String {
    shard_partition(shard_of(student.as_str(), SHARDS))
}

pub(super) fn shard_partition(shard: usize) -> String {
    format!("gallery#{shard}")
}

pub(super) fn student_key(student: &StudentId) -> String {
    format!("student#{student}")
}

/// The sort key of a picture; what all of the student's begin with if `digest` is empty.
pub(super) fn face_key(student: &StudentId, digest: impl std::fmt::Display) -> String {
    format!("face#{student}#{digest}")
}

/// The sort key of an erased picture; what all of the student's begin with if `id` is empty.
pub(super) fn gone_key(student: &StudentId, id: &str) -> String {
    format!("{GONE}{student}#{id}")
}

pub(super) fn hex(id: EnrollmentId) -> String {
    format!("{:032x}", id.0)
}

pub(super) fn parse_hex(id: &str) -> Result<EnrollmentId, StoreError> {
    u128::from_str_radix(id, 16).map(EnrollmentId).map_err(StoreError::damaged)
}

/// A shard's row: the number of its last change, and how much is enrolled in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shard {
    pub(super) version: u64,
    pub(super) encodings: usize,
    pub(super) labels: usize,
}

impl Shard {
    pub(super) fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            version: number(row, "last_change")?,
            encodings: size(row, "encodings")?,
            labels: size(row, "labels")?,
        })
    }

    /// The write that moves the shard from `self` to `next`, if nobody else has moved it.
    pub(super) fn moved_to(self, next: Self, table: &Table, pk: &str) -> TransactWriteItem {
        let condition = if self.version == 0 { "attribute_not_exists(#pk)" } else { "#last_change = :seen" };
        let set = "SET #last_change = :next, #encodings = :encodings, #labels = :labels";
        let mut expression = Expression::new(set, Some(condition))
            .value("next", n(next.version))
            .value("encodings", n(next.encodings))
            .value("labels", n(next.labels));
        if self.version != 0 {
            expression = expression.value("seen", n(self.version));
        }
        table.update(pk, VERSION, expression)
    }
}

/// The write that takes a student's row from one number of embeddings to another; 0 is no row.
pub(super) fn count_student(
    table: &Table,
    pk: &str,
    student: &StudentId,
    from: Option<usize>,
    to: usize,
) -> TransactWriteItem {
    let condition = if from.is_some() { "#saved = :from" } else { "attribute_not_exists(#pk)" };
    let update = if to == 0 { "" } else { "SET #saved = :to" };
    let mut expression = Expression::new(update, Some(condition));
    if let Some(from) = from {
        expression = expression.value("from", n(from));
    }
    if to == 0 {
        return table.delete(pk, &student_key(student), expression);
    }
    table.update(pk, &student_key(student), expression.value("to", n(to)))
}

/// One picture's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FaceRow {
    pub(super) pk: String,
    pub(super) sk: String,
    // The enrolment's, in hex.
    pub(super) id: String,
    pub(super) student: String,
    pub(super) model: String,
    // The number of embeddings.
    pub(super) saved: usize,
    // In milliseconds since the Unix epoch.
    pub(super) at: u64,
    // The embeddings, one after the other.
    #[serde(with = "serde_bytes")]
    pub(super) vectors: Vec<u8>,
    // The number of the change that added it.
    pub(super) version: u64,
    // The keys of its pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_dynamo::string_set")]
    pub(super) objects: Vec<String>,
    // Whether it was enrolled directly. Absent unless it is true, as is `sourced`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) direct: bool,
    // The inbox keys of the objects that stand for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_dynamo::string_set")]
    pub(super) sources: Vec<String>,
    // Whether any object ever stood for it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) sourced: bool,
}

/// An erased picture's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct GoneRow {
    pub(super) pk: String,
    pub(super) sk: String,
    // The enrolment's, in hex.
    pub(super) id: String,
    // The number of the change that erased it.
    pub(super) version: u64,
    // Whether the objects below may still lie in the bucket.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) unfinished: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "serde_dynamo::string_set")]
    pub(super) objects: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::table::{from_row, key, s, to_row};

    /// A row as it lies in tables that earlier versions wrote.
    fn stored() -> Row {
        let mut row = key("gallery#3", "face#siswaA#00ff");
        row.insert("id".into(), s("0192"));
        row.insert("student".into(), s("siswaA"));
        row.insert("model".into(), s("model-a"));
        row.insert("saved".into(), n(1u64));
        row.insert("at".into(), n(1_727_580_000_000u64));
        row.insert("version".into(), n(7u64));
        row.insert("vectors".into(), AttributeValue::B(Blob::new([0, 0, 128, 63])));
        row
    }

    #[test]
    fn a_pictures_row_is_read_and_written_as_it_always_was() {
        let set = |keys: &[&str]| AttributeValue::Ss(keys.iter().map(|key| (*key).to_owned()).collect());
        let mut full = stored();
        full.insert("objects".into(), set(&["photos/siswaA/a.jpg", "photos/siswaA/a-0.face.jpg"]));
        full.insert("sources".into(), set(&["known_faces/siswaA/a b.jpg"]));
        full.insert("direct".into(), AttributeValue::Bool(true));
        full.insert("sourced".into(), AttributeValue::Bool(true));
        let face: FaceRow = from_row(full.clone()).unwrap();
        assert!(face.direct && face.sourced && face.objects.len() == 2 && face.vectors == [0, 0, 128, 63]);
        for row in [stored(), full] {
            assert_eq!(to_row(from_row::<FaceRow>(row.clone()).unwrap()), row);
        }
    }

    #[test]
    fn an_erased_pictures_row_is_read_and_written_as_it_always_was() {
        let mut row = key("gallery#3", "gone#siswaA#0192");
        row.insert("id".into(), s("0192"));
        row.insert("version".into(), n(8u64));
        assert_eq!(to_row(from_row::<GoneRow>(row.clone()).unwrap()), row);
        row.insert("unfinished".into(), AttributeValue::Bool(true));
        row.insert("objects".into(), AttributeValue::Ss(vec!["photos/siswaA/a.jpg".into()]));
        assert_eq!(to_row(from_row::<GoneRow>(row.clone()).unwrap()), row);
    }

    #[test]
    fn a_row_without_an_attribute_is_damaged_and_named() {
        let mut row = stored();
        row.remove("vectors");
        let error = from_row::<FaceRow>(row).unwrap_err();
        let StoreError::Damaged(cause) = error else { panic!("{error:?}") };
        assert!(cause.to_string().contains("face#siswaA#00ff") && cause.to_string().contains("vectors"), "{cause}");
    }
}
