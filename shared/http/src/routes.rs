use attendance::Scope;
use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::Access;
use crate::access::{Need, require};

/// Where the OpenAPI document says which scope opens an operation.
const SCOPE_FIELD: &str = "x-scope";

/// Routes that one scope opens. Each is in the OpenAPI document, with its scope as `x-scope`.
pub struct Group<S = ()> {
    need: Need,
    routes: OpenApiRouter<S>,
}

impl<S: Clone + Send + Sync + 'static> Group<S> {
    /// Returns a group without routes that a key with this scope is to open.
    #[must_use]
    pub fn opened_by(scope: Scope) -> Self {
        Self { need: Need { scope: Some(scope), key_in_query: false }, routes: OpenApiRouter::new() }
    }

    /// Returns the group whose key may also come as the query parameter `key`: a browser's WebSocket cannot send headers.
    #[must_use]
    pub(crate) fn or_by_query(mut self) -> Self {
        self.need.key_in_query = true;
        self
    }

    /// Returns the group with what `utoipa_axum::routes!` makes of handlers.
    #[must_use]
    pub fn routes(mut self, (schemas, mut paths, methods): UtoipaMethodRouter<S>) -> Self {
        let word = self.need.scope.map(|scope| scope.to_string());
        for operation in paths.paths.values_mut().flat_map(operations) {
            let stated = Extensions::from_iter(word.clone().map(|word| (SCOPE_FIELD, word)));
            operation.extensions.get_or_insert_default().merge(stated);
        }
        self.routes = self.routes.routes((schemas, paths, methods));
        self
    }

    /// Returns the group whose handlers are given this state.
    #[must_use]
    pub fn with_state(self, state: S) -> Group {
        Group { need: self.need, routes: self.routes.with_state(state) }
    }

    /// The part of the OpenAPI document that describes these routes.
    pub(crate) fn openapi(&self) -> OpenApi {
        self.routes.get_openapi().clone()
    }
}

impl Group {
    /// The routes, each of which wants a key with the group's scope.
    fn guarded(self, access: &Access) -> Router {
        Router::from(self.routes).route_layer(from_fn_with_state((access.clone(), self.need), require))
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, query, .. } = item;
    [get, put, post, delete, options, head, patch, trace, query].into_iter().flatten()
}

/// The routes of a service: those that anyone may call, and groups each of which a scope opens.
///
/// A route is open only if it stands among those that this crate makes public. One that is added later is in a
/// [`Group`], and so has a scope.
#[derive(Default)]
pub struct Routes {
    public: Router,
    groups: Vec<Group>,
}

impl Routes {
    /// These routes, open to anyone.
    pub(crate) fn public(public: Router) -> Self {
        Self { public, groups: Vec::new() }
    }

    /// All routes of both.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.groups.extend(other.groups);
        Self { public: self.public.merge(other.public), groups: self.groups }
    }

    /// These routes and those of a group.
    #[must_use]
    pub fn and(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// The routes that anyone may call, and those that want a key.
    pub(crate) fn split(self, access: &Access) -> (Router, Router) {
        let closed = self.groups.into_iter().fold(Router::new(), |all, group| all.merge(group.guarded(access)));
        (self.public, closed)
    }
}

impl From<Group> for Routes {
    fn from(group: Group) -> Self {
        Self::default().and(group)
    }
}
