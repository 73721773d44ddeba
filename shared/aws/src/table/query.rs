use attendance::ports::StoreError;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::{Expression, Row, Table, s};

/// Up to this many rows, a page has only as many as are asked for; beyond, as many as DynamoDB puts into one.
const MOST_IN_A_PAGE: usize = 500;

/// Which rows of one partition to read, in the order of their sort key or, through an index, of another attribute.
pub(crate) struct Query {
    pk: String,
    index: Option<&'static str>,
    // The attribute that orders the rows.
    order: &'static str,
    range: Range,
    descending: bool,
    limit: usize,
    only: Option<&'static str>,
}

enum Range {
    All,
    StartingWith(String),
    UpTo(AttributeValue),
    Between(AttributeValue, AttributeValue),
}

impl Query {
    /// All rows of the partition.
    pub(crate) fn of(pk: impl Into<String>) -> Self {
        Self {
            pk: pk.into(),
            index: None,
            order: "sk",
            range: Range::All,
            descending: false,
            limit: usize::MAX,
            only: None,
        }
    }

    /// Those that have the attribute that orders this local index, in its order.
    pub(crate) fn through(self, index: &'static str, order: &'static str) -> Self {
        Self { index: Some(index), order, ..self }
    }

    /// Those whose ordering attribute begins with this text.
    pub(crate) fn starting_with(self, prefix: impl Into<String>) -> Self {
        Self { range: Range::StartingWith(prefix.into()), ..self }
    }

    /// Those whose ordering attribute lies between these values, both included.
    pub(crate) fn between(self, first: AttributeValue, last: AttributeValue) -> Self {
        Self { range: Range::Between(first, last), ..self }
    }

    /// Those whose ordering attribute is at most this value.
    pub(crate) fn up_to(self, last: AttributeValue) -> Self {
        Self { range: Range::UpTo(last), ..self }
    }

    /// The last rows first.
    pub(crate) fn descending(self) -> Self {
        Self { descending: true, ..self }
    }

    /// At most this many rows.
    pub(crate) fn limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// This attribute of each row and no other.
    pub(crate) fn only(self, attribute: &'static str) -> Self {
        Self { only: Some(attribute), ..self }
    }

    fn condition(&self) -> Expression {
        let order = self.order;
        let condition = match &self.range {
            Range::All => "#pk = :pk".to_owned(),
            Range::StartingWith(_) => format!("#pk = :pk AND begins_with(#{order}, :first)"),
            Range::UpTo(_) => format!("#pk = :pk AND #{order} <= :last"),
            Range::Between(..) => format!("#pk = :pk AND #{order} BETWEEN :first AND :last"),
        };
        let expression = Expression::condition(&condition).value("pk", s(&self.pk));
        match &self.range {
            Range::All => expression,
            Range::StartingWith(prefix) => expression.value("first", s(prefix)),
            Range::UpTo(last) => expression.value("last", last.clone()),
            Range::Between(first, last) => expression.value("first", first.clone()).value("last", last.clone()),
        }
    }
}

impl Table {
    /// The rows as of now, page by page as they are asked for.
    pub(crate) fn query(&self, query: &Query) -> BoxStream<'static, Result<Row, StoreError>> {
        let condition = query.condition();
        let mut names = condition.names.unwrap_or_default();
        names.extend(query.only.map(|name| ("#only".to_owned(), name.to_owned())));
        let rows = self
            .client
            .query()
            .table_name(&self.name)
            .set_index_name(query.index.map(str::to_owned))
            .consistent_read(true)
            .scan_index_forward(!query.descending)
            .set_limit((query.limit <= MOST_IN_A_PAGE).then_some(query.limit as i32))
            .set_key_condition_expression(condition.condition)
            .set_projection_expression(query.only.map(|_| "#only".to_owned()))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(condition.values)
            .into_paginator()
            .items()
            .send();
        let rows = stream::unfold(rows, |mut rows| async move {
            let row = rows.next().await?;
            Some((row.map_err(StoreError::unavailable), rows))
        });
        rows.take(query.limit).boxed()
    }
}
