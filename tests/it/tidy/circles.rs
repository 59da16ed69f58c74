//! The rule that files of the crate do not import each other in a circle.
//!
//! A module may re-export its children (`pub use`): that alone makes no circle with a child that imports from its
//! parent. GraphQL types refer to each other in the schema, so files that define such types may form a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::rules::{Problem, problem};
use super::source::Source;

type Imports<'s> = BTreeMap<&'s str, BTreeSet<&'s str>>;

pub(crate) fn imports_have_no_cycles(sources: &[Source]) -> Vec<Problem> {
    let imports = imports(sources);
    let mut found = Vec::new();
    for circle in circles(&imports) {
        let files: Vec<_> = sources.iter().filter(|source| circle.contains(&source.path.as_str())).collect();
        if files.iter().all(|source| defines_graphql_type(source)) {
            continue;
        }
        let cause = format!("files that import each other in a circle: {}", circle.join(", "));
        let fix = "move what both need into a file that both import";
        found.extend(files.first().map(|first| problem(first, 1, cause, fix)));
    }
    found
}

/// Which files each file imports from.
fn imports(sources: &[Source]) -> Imports<'_> {
    let in_crate = |source: &&Source| source.layer().is_some_and(|layer| layer != "lib");
    let files: BTreeMap<_, _> =
        sources.iter().filter(in_crate).map(|source| (source.module(), source.path.as_str())).collect();
    let mut imports = Imports::new();
    for source in sources.iter().filter(in_crate) {
        let module = source.module();
        let imported = source.used_paths().into_iter().filter_map(|named| {
            let path = match named.path.split_first() {
                Some((root, path)) if root == "crate" => path.to_vec(),
                // A path without a root may begin with a child module.
                _ => [&module[..], &named.path].concat(),
            };
            let file = |length| Some((length, *files.get(&path[..length])?));
            let (length, file) = (1..=path.len()).rev().find_map(file)?;
            let is_child = length > module.len() && path.starts_with(&module);
            (file != source.path && !(is_child && named.is_reexport)).then_some(file)
        });
        imports.insert(source.path.as_str(), imported.collect());
    }
    imports
}

/// The groups of files that reach each other, each group in the order of paths.
fn circles<'s>(imports: &Imports<'s>) -> BTreeSet<Vec<&'s str>> {
    let reached: BTreeMap<_, _> = imports.keys().map(|file| (*file, reached(imports, file))).collect();
    let circle = |file: &&'s str| {
        let back = |other: &&&str| reached.get(**other).is_some_and(|reached| reached.contains(file));
        reached.get(file).into_iter().flatten().filter(back).copied().collect::<Vec<_>>()
    };
    imports.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
}

fn reached<'s>(imports: &Imports<'s>, from: &str) -> BTreeSet<&'s str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&str> = imports.get(from).into_iter().flatten().copied().collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(imports.get(file).into_iter().flatten());
        }
    }
    reached
}

/// Whether a file of `graphql` defines an object type of the schema.
fn defines_graphql_type(source: &Source) -> bool {
    let tokens: Vec<&str> = source.shipped.iter().map(|token| token.text.as_str()).collect();
    let is_declared = tokens.windows(2).any(|two| two == ["object_type", "!"])
        || tokens.windows(3).any(|three| three == ["#", "[", "Object"]);
    source.layer() == Some("graphql") && is_declared
}
