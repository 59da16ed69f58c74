//! Decodes `{"items": [{"slug", "name", "meta": {"logo", "description", "categories": [{"name"}]}}], "next_cursor"}`
//! (docs/upstreams.md#composio-toolkits), by allow-list.

use url::Url;

use super::json::{JsonError, JsonReader};
use super::lenient::{Field, FromJson, Identifier, Text, json_object};
use super::rows::{FieldProblem, FieldProblems, Rows};
use super::{UnexpectedShape, decode};
use crate::domain::problems::ProblemRule;
use crate::domain::toolkits::{ToolkitDetails, ToolkitSlug};
use crate::domain::upstream_name::UpstreamName;
use crate::upstream::toolkits::ToolkitPage;

/// Most categories of one toolkit. Further ones are skipped.
const CATEGORIES_MAX: usize = 20;

json_object! {
    struct Page {
        items: ToolkitRows = "items",
        next_cursor: Text = "next_cursor",
    }
}

struct ToolkitRows(Rows<(ToolkitSlug, ToolkitDetails)>);

impl FromJson for ToolkitRows {
    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        Rows::read(json, UpstreamName::Composio, toolkit).map(|rows| Some(Self(rows)))
    }
}

json_object! {
    struct Toolkit {
        slug: Identifier = "slug",
        name: Text = "name",
        meta: Meta = "meta",
    }
}

json_object! {
    struct Meta {
        logo: Text = "logo",
        description: Text = "description",
        categories: Categories = "categories",
    }
}

json_object! {
    struct Category {
        name: Text = "name",
    }
}

/// The names of a list of categories. Entries without a name are skipped.
#[derive(Default)]
struct Categories(Vec<Box<str>>);

impl FromJson for Categories {
    fn from_list(json: &mut JsonReader<'_>) -> Result<Option<Self>, JsonError> {
        let mut names = Vec::new();
        json.list(|json| {
            let name = json.field::<Category>()?.read().and_then(|category| category.name.read());
            if let Some(Text(name)) = name
                && names.len() < CATEGORIES_MAX
            {
                names.push(name);
            }
            Ok(())
        })?;
        Ok(Some(Self(names)))
    }
}

/// Decodes a page without its unreadable rows, and counts those.
pub(in crate::upstream) fn page(body: &[u8]) -> Result<ToolkitPage, UnexpectedShape> {
    let Page { items, next_cursor } = decode(body)?;
    let ToolkitRows(Rows { decoded: toolkits, sent: _, problems }) = items.read().ok_or(UnexpectedShape)?;
    let next_cursor = match next_cursor {
        Field::Unreadable => return Err(UnexpectedShape),
        Field::Read(Text(cursor)) => Some(cursor).filter(|cursor| !cursor.is_empty()),
        Field::Absent => None,
    };
    Ok(ToolkitPage { toolkits, next_cursor, problems })
}

fn toolkit(
    row: Toolkit,
    problems: &mut FieldProblems,
) -> Result<(ToolkitSlug, ToolkitDetails), FieldProblem> {
    let Identifier(slug) = FieldProblems::required("slug", row.slug)?;
    if slug.is_empty() {
        return Err(FieldProblem::new("slug", ProblemRule::Empty));
    }
    let meta = problems.optional("meta", row.meta).unwrap_or_default();
    let logo_url = problems.text("meta.logo", meta.logo).filter(|url| !url.is_empty());
    if logo_url.as_deref().is_some_and(|url| !is_https(url)) {
        problems.unreadable("meta.logo");
    }
    let details = ToolkitDetails {
        name: problems.text("name", row.name).filter(|name| !name.is_empty()),
        logo_url: logo_url.filter(|url| is_https(url)),
        description: problems.text("meta.description", meta.description).filter(|text| !text.is_empty()),
        categories: problems.optional("meta.categories", meta.categories).unwrap_or_default().0,
    };
    Ok((ToolkitSlug::of_upstream(&slug), details))
}

/// Whether a browser can load an image from a URL safely: https, and no user name or password.
fn is_https(url: &str) -> bool {
    Url::parse(url)
        .is_ok_and(|url| url.scheme() == "https" && url.username().is_empty() && url.password().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Vec<(ToolkitSlug, ToolkitDetails)>, Vec<String>) {
        let ToolkitPage { toolkits, problems, .. } = page(json.as_bytes()).unwrap();
        let line =
            |(path, rule, count): (String, ProblemRule, u64)| format!("{path} {} {count}", rule.slug());
        (toolkits, problems.located().map(line).collect())
    }

    #[test]
    fn the_listed_fields_are_read_and_no_others() {
        let (toolkits, problems) = read(
            r#"{"items":[{"slug":"GMAIL","name":"Gmail","type":"native","base_url":"hush","meta":{"logo":"https://l.example/g",
                "description":"Mail","categories":[{"id":"email","name":"Email"},{"id":"x"},7],"app_url":"hush"}},
                {"slug":"zoom"}],"total_pages":1}"#,
        );
        assert_eq!(problems, [] as [&str; 0]);
        let gmail = ToolkitDetails {
            name: Some("Gmail".into()),
            logo_url: Some("https://l.example/g".into()),
            categories: vec!["Email".into()],
            description: Some("Mail".into()),
        };
        let zoom = ToolkitDetails { name: None, logo_url: None, categories: Vec::new(), description: None };
        let slug = |text| ToolkitSlug::parse(text).unwrap();
        assert_eq!(toolkits, [(slug("gmail"), gmail), (slug("zoom"), zoom)]);
    }

    #[test]
    fn an_unreadable_row_or_value_loses_only_itself() {
        let (toolkits, problems) = read(
            r#"{"items":[{"name":"no slug"},7,{"slug":"","name":"x"},
                {"slug":"a","name":["x"],"meta":{"logo":"http://l.example/a","description":3,"categories":"x"}}]}"#,
        );
        assert_eq!(toolkits.len(), 1);
        assert_eq!(toolkits[0].1.logo_url, None);
        assert_eq!(
            problems,
            [
                "items[0].slug missing 1",
                "items[1] unreadable_row 1",
                "items[2].slug empty 1",
                "items[3].meta.categories unreadable_value 1",
                "items[3].meta.logo unreadable_value 1",
                "items[3].name unreadable_value 1",
            ]
        );
    }

    #[test]
    fn only_https_logos_without_credentials_are_returned() {
        for (url, is_returned) in [
            ("https://logos.composio.dev/api/gmail", true),
            ("http://logos.composio.dev/api/gmail", false),
            ("data:image/svg+xml,x", false),
            ("javascript:alert(1)", false),
            ("https://user:word@l.example/", false),
            ("/relative", false),
        ] {
            let (toolkits, _) = read(&format!(r#"{{"items":[{{"slug":"a","meta":{{"logo":"{url}"}}}}]}}"#));
            assert_eq!(toolkits[0].1.logo_url.is_some(), is_returned, "{url}");
        }
    }

    #[test]
    fn a_body_that_is_not_a_page_is_an_error() {
        for body in ["", "[]", "{}", r#"{"items":{}}"#, r#"{"items":[],"next_cursor":[]}"#, r#"{"items":["#] {
            assert!(page(body.as_bytes()).is_err(), "{body}");
        }
    }
}
