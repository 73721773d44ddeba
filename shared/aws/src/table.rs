use std::collections::HashMap;
use std::fmt::Debug;

use attendance::ports::StoreError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use sha2::{Digest, Sha256};

use crate::backoff::Backoff;

/// A row: its attributes by name.
pub(crate) type Row = HashMap<String, AttributeValue>;

/// The table, and what every adapter does with it in the same way.
#[derive(Clone)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum NotCommitted {
    /// A condition does not hold; the reasons are in the order of the writes, with the row as it is where asked for.
    Condition(Vec<CancellationReason>),
    Store(StoreError),
}

/// What a conditional write of one row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Yes,
    ConditionFailed,
}

impl Table {
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The row as of now, or `None`.
    pub(crate) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Row>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key(pk, sk))).consistent_read(true);
        Ok(request.send().await.map_err(StoreError::unavailable)?.item)
    }

    /// Those of these rows that exist, each as of a moment after this call, in no order. At most 100 keys.
    pub(crate) async fn get_each(&self, keys: Vec<Row>) -> Result<Vec<Row>, StoreError> {
        let mut backoff = Backoff::new();
        let mut rows = Vec::new();
        let mut left =
            KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build().expect("the keys are set");
        loop {
            let request = self.client.batch_get_item().request_items(&self.name, left);
            let mut answer = request.send().await.map_err(StoreError::unavailable)?;
            rows.extend(answer.responses.as_mut().and_then(|r| r.remove(&self.name)).unwrap_or_default());
            match answer.unprocessed_keys.and_then(|mut keys| keys.remove(&self.name)) {
                None => return Ok(rows),
                Some(unprocessed) => left = unprocessed,
            }
            backoff.wait().await?;
        }
    }

    /// Commits all of these writes or none. `token` names this try of this content: where an answer is lost and the
    /// request repeated, DynamoDB commits once.
    pub(crate) async fn transact(&self, writes: Vec<TransactWriteItem>, token: &str) -> Result<(), NotCommitted> {
        let mut backoff = Backoff::new();
        loop {
            let request =
                self.client.transact_write_items().set_transact_items(Some(writes.clone())).client_request_token(token);
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(error) => match refusal(error) {
                    Refusal::Condition(reasons) => return Err(NotCommitted::Condition(reasons)),
                    Refusal::Final(error) => return Err(NotCommitted::Store(error)),
                    Refusal::InTheWay => backoff.wait().await.map_err(NotCommitted::Store)?,
                },
            }
        }
    }

    /// Sends a write of one row until no transaction is in its way, and returns whether its condition held.
    pub(crate) async fn write_one<T, E, F>(
        &self,
        send: impl Fn() -> F + Send + Sync,
    ) -> Result<(Written, Option<T>), StoreError>
    where
        F: Future<Output = Result<T, SdkError<E>>> + Send,
        E: ProvideErrorMetadata + std::error::Error + Debug + Send + Sync + 'static,
    {
        let mut backoff = Backoff::new();
        loop {
            match send().await {
                Ok(answer) => return Ok((Written::Yes, Some(answer))),
                Err(error) => match error.code() {
                    Some("ConditionalCheckFailedException") => return Ok((Written::ConditionFailed, None)),
                    Some(code) if in_the_way(code) => backoff.wait().await?,
                    _ => return Err(StoreError::unavailable(error)),
                },
            }
        }
    }

    pub(crate) fn put(&self, row: Row, condition: Option<&str>) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(row))
            .set_condition_expression(condition.map(str::to_owned))
            .build()
            .expect("table and row are set");
        TransactWriteItem::builder().put(put).build()
    }

    pub(crate) fn update(&self, pk: &str, sk: &str, expression: Expression) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key(pk, sk)))
            .update_expression(expression.update)
            .set_condition_expression(expression.condition)
            .set_expression_attribute_names(expression.names)
            .set_expression_attribute_values(expression.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .expect("table, key and expression are set");
        TransactWriteItem::builder().update(update).build()
    }

    pub(crate) fn delete(&self, pk: &str, sk: &str, expression: Expression) -> TransactWriteItem {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key(pk, sk)))
            .set_condition_expression(expression.condition)
            .set_expression_attribute_names(expression.names)
            .set_expression_attribute_values(expression.values)
            .build()
            .expect("table and key are set");
        TransactWriteItem::builder().delete(delete).build()
    }
}

/// What an update does, on which condition, with which values. Attribute names are written `#name` in it: many words
/// are reserved.
#[derive(Default)]
pub(crate) struct Expression {
    pub(crate) update: String,
    pub(crate) condition: Option<String>,
    pub(crate) names: Option<HashMap<String, String>>,
    pub(crate) values: Option<HashMap<String, AttributeValue>>,
}

impl Expression {
    pub(crate) fn new(update: &str, condition: Option<&str>) -> Self {
        let mut names = HashMap::new();
        for text in [Some(update), condition].into_iter().flatten() {
            for word in text.split('#').skip(1) {
                let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
                names.insert(format!("#{}", &word[..end]), word[..end].to_owned());
            }
        }
        Self {
            update: update.to_owned(),
            condition: condition.map(str::to_owned),
            names: (!names.is_empty()).then_some(names),
            values: None,
        }
    }

    pub(crate) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.get_or_insert_default().insert(format!(":{name}"), value);
        self
    }
}

enum Refusal {
    Condition(Vec<CancellationReason>),
    InTheWay,
    Final(StoreError),
}

fn refusal(error: SdkError<TransactWriteItemsError>) -> Refusal {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            let reasons = canceled.cancellation_reasons().to_vec();
            let has = |test: &dyn Fn(&str) -> bool| reasons.iter().any(|r| r.code().is_some_and(test));
            if has(&|code| code == "ConditionalCheckFailed") {
                Refusal::Condition(reasons)
            } else if has(&in_the_way) {
                Refusal::InTheWay
            } else {
                Refusal::Final(StoreError::unavailable(error))
            }
        }
        Some(service) if service.code().is_some_and(in_the_way) => Refusal::InTheWay,
        _ => Refusal::Final(StoreError::unavailable(error)),
    }
}

/// Whether this error, or reason of a cancelled transaction, ends by itself.
fn in_the_way(code: &str) -> bool {
    matches!(
        code.strip_suffix("Exception").unwrap_or(code),
        "TransactionConflict"
            | "TransactionInProgress"
            | "ThrottlingError"
            | "Throttling"
            | "ProvisionedThroughputExceeded"
            | "RequestLimitExceeded"
    )
}

/// The number below `of` that this text is always given.
pub(crate) fn shard_of(text: &str, of: usize) -> usize {
    usize::from(Sha256::digest(text)[0]) % of
}

pub(crate) fn key(pk: &str, sk: &str) -> Row {
    Row::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

pub(crate) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn n(number: impl TryInto<u64, Error: Debug>) -> AttributeValue {
    AttributeValue::N(number.try_into().expect("sizes fit 64 bits").to_string())
}

pub(crate) fn b(bytes: Vec<u8>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
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

pub(crate) fn size(row: &Row, name: &str) -> Result<usize, StoreError> {
    usize::try_from(number(row, name)?).map_err(StoreError::damaged)
}

/// The bytes of an attribute that every such row has.
pub(crate) fn bytes<'a>(row: &'a Row, name: &str) -> Result<&'a [u8], StoreError> {
    row.get(name).and_then(|v| v.as_b().ok()).map(Blob::as_ref).ok_or_else(|| damaged(row, name))
}

/// The texts of a set; none where there is no such attribute.
pub(crate) fn texts(row: &Row, name: &str) -> Vec<String> {
    row.get(name).and_then(|v| v.as_ss().ok()).cloned().unwrap_or_default()
}

fn damaged(row: &Row, name: &str) -> StoreError {
    StoreError::damaged(format!("the row {:?} / {:?} has no usable {name}", row.get("pk"), row.get("sk")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_from_the_expression() {
        let expression = Expression::new("SET #status = :s, #at=:a REMOVE #due", Some("attribute_exists(#pk)"));
        let mut names: Vec<_> = expression.names.unwrap().into_values().collect();
        names.sort();
        assert_eq!(names, ["at", "due", "pk", "status"]);
    }

    #[test]
    fn what_ends_by_itself_is_tried_again() {
        for code in ["TransactionConflict", "ThrottlingError", "ThrottlingException", "TransactionInProgressException"]
        {
            assert!(in_the_way(code), "{code}");
        }
        for code in ["None", "ConditionalCheckFailed", "ValidationError", "ItemCollectionSizeLimitExceeded"] {
            assert!(!in_the_way(code), "{code}");
        }
    }

    #[test]
    fn a_student_keeps_his_shard() {
        // Rows that are written lie where these numbers say.
        assert_eq!(["siswaA", "siswaB", "siswaC", "2024-001"].map(|id| shard_of(id, 8)), [3, 5, 7, 6]);
    }
}
