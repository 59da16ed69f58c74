//! How many objects of each type a router asks `_entities` for: they are its representations, which mostly stand in
//! variables, and a fragment on a type applies to that type's alone.

use std::collections::HashMap;

use apollo_compiler::ast::Value as Literal;
use async_graphql::{Value, Variables};

use super::argument::count;

/// Numbers of representations.
#[derive(Debug, Clone, Default)]
pub(super) struct Representations {
    by_type: HashMap<String, usize>,
    all: usize,
}

impl Representations {
    /// Those of an argument.
    pub(super) fn of(argument: &Literal, variables: &Variables) -> Self {
        let mut read = Self::default();
        match argument {
            Literal::List(items) => items.iter().for_each(|item| read.literal(item, variables)),
            Literal::Variable(name) => match variables.get(name.as_str()) {
                Some(Value::List(items)) => items.iter().for_each(|item| read.value(item)),
                Some(lone) => read.value(lone),
                None => {}
            },
            lone => read.literal(lone, variables),
        }
        read
    }

    fn literal(&mut self, representation: &Literal, variables: &Variables) {
        match representation {
            Literal::Variable(name) => variables.get(name.as_str()).into_iter().for_each(|it| self.value(it)),
            Literal::Object(members) => {
                let name = members.iter().find(|(name, _)| name == "__typename").map(|(_, value)| &**value);
                match name {
                    Some(Literal::String(name)) => self.add(Some(name)),
                    Some(Literal::Variable(variable)) => self.named(variables.get(variable.as_str())),
                    _ => self.add(None),
                }
            }
            _ => self.add(None),
        }
    }

    fn value(&mut self, representation: &Value) {
        match representation {
            Value::Object(members) => self.named(members.get("__typename")),
            _ => self.add(None),
        }
    }

    fn named(&mut self, name: Option<&Value>) {
        match name {
            Some(Value::String(name)) => self.add(Some(name)),
            _ => self.add(None),
        }
    }

    /// One of no type gives no object, but a null that has to be told.
    fn add(&mut self, type_name: Option<&str>) {
        self.all += 1;
        if let Some(name) = type_name {
            *self.by_type.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// How many there are.
    pub(super) fn all(&self) -> f64 {
        count(self.all)
    }

    /// How many there are of a type.
    pub(super) fn of_type(&self, name: &str) -> f64 {
        count(self.by_type.get(name).copied().unwrap_or_default())
    }
}
