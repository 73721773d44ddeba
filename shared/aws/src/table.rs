mod expression;
mod query;
mod row;

use std::fmt::Debug;

use attendance::ports::StoreError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, KeysAndAttributes, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use sha2::{Digest, Sha256};

use crate::backoff::Backoff;

pub(crate) use expression::Expression;
pub(crate) use query::Query;
pub(crate) use row::{Row, from_row, key, n, number, s, size, text, to_row};

/// The table, through which every request to DynamoDB goes.
///
/// Reads are consistent. A write waits for the transactions that are in its way and for throttling to end, as long as
/// somebody who waits for an answer has patience.
#[derive(Clone)]
pub(crate) struct Table {
    client: Client,
    name: String,
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(crate) enum NotCommitted {
    /// A condition does not hold. The reasons are in the order of the writes, with the row as it is if that was asked
    /// for.
    Condition(Vec<CancellationReason>),
    Store(StoreError),
}

/// What a conditional write of one row came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Yes,
    ConditionFailed,
}

impl Table {
    /// The table of this name.
    pub(crate) fn new(client: Client, name: String) -> Self {
        Self { client, name }
    }

    /// The row as of now; `None` if there is none.
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

    /// Commits all of these writes or none. `token` identifies this try of this content: if an answer is lost and the
    /// request is repeated, DynamoDB commits once.
    pub(crate) async fn transact(&self, writes: Vec<TransactWriteItem>, token: &str) -> Result<(), NotCommitted> {
        let mut backoff = Backoff::new();
        loop {
            let request =
                self.client.transact_write_items().set_transact_items(Some(writes.clone())).client_request_token(token);
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(error) => match failure(error) {
                    Failure::Condition(reasons) => return Err(NotCommitted::Condition(reasons)),
                    Failure::Final(error) => return Err(NotCommitted::Store(error)),
                    Failure::InTheWay => backoff.wait().await.map_err(NotCommitted::Store)?,
                },
            }
        }
    }

    /// Writes the row in place of an earlier one if the condition holds, and returns whether it held; the default
    /// expression has none.
    pub(crate) async fn put_row(&self, row: Row, condition: Expression) -> Result<bool, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(row))
            .set_condition_expression(condition.condition)
            .set_expression_attribute_names(condition.names)
            .set_expression_attribute_values(condition.values);
        Ok(self.write_one(|| put.clone().send()).await?.0 == Written::Yes)
    }

    /// Changes a row, or makes it if there is none, and returns it as it is now; `None` if the condition does not hold.
    pub(crate) async fn update_row(
        &self,
        pk: &str,
        sk: &str,
        expression: Expression,
    ) -> Result<Option<Row>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key(pk, sk)))
            .update_expression(expression.update)
            .set_condition_expression(expression.condition)
            .set_expression_attribute_names(expression.names)
            .set_expression_attribute_values(expression.values)
            .return_values(ReturnValue::AllNew);
        let (_, answer) = self.write_one(|| update.clone().send()).await?;
        Ok(answer.map(|answer| answer.attributes.unwrap_or_default()))
    }

    /// Deletes a row; one that does not exist counts as deleted.
    pub(crate) async fn delete_row(&self, pk: &str, sk: &str) -> Result<(), StoreError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key(pk, sk)));
        self.write_one(|| delete.clone().send()).await?;
        Ok(())
    }

    /// Sends a write of one row until no transaction is in its way, and returns whether its condition held.
    async fn write_one<T, E, F>(&self, send: impl Fn() -> F + Send + Sync) -> Result<(Written, Option<T>), StoreError>
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

    /// A transaction's write of a whole row.
    pub(crate) fn put(&self, row: Row, condition: Option<&str>) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(row))
            .set_condition_expression(condition.map(str::to_owned))
            .build()
            .expect("table and row are set");
        TransactWriteItem::builder().put(put).build()
    }

    /// A transaction's change of a row; if its condition fails, the reason has the row as it is.
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

    /// A transaction's deletion of a row, of which the expression's condition is used alone.
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

/// What an error of a transaction means for its caller.
enum Failure {
    Condition(Vec<CancellationReason>),
    InTheWay,
    Final(StoreError),
}

fn failure(error: SdkError<TransactWriteItemsError>) -> Failure {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
            let reasons = canceled.cancellation_reasons().to_vec();
            let has = |test: &dyn Fn(&str) -> bool| reasons.iter().any(|r| r.code().is_some_and(test));
            if has(&|code| code == "ConditionalCheckFailed") {
                Failure::Condition(reasons)
            } else if has(&in_the_way) {
                Failure::InTheWay
            } else {
                Failure::Final(StoreError::unavailable(error))
            }
        }
        Some(service) if service.code().is_some_and(in_the_way) => Failure::InTheWay,
        _ => Failure::Final(StoreError::unavailable(error)),
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

/// The number below `of` that this text is always given: rows that are stored lie where these numbers say.
pub(crate) fn shard_of(text: &str, of: usize) -> usize {
    usize::from(Sha256::digest(text)[0]) % of
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(["siswaA", "siswaB", "siswaC", "2024-001"].map(|id| shard_of(id, 8)), [3, 5, 7, 6]);
    }
}
