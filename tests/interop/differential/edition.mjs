// graphql-js's introspection as the September 2025 edition has it, and in the order of Switchboard's.

const TYPE = 'kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } }';
const INPUT_VALUE = `name description isDeprecated deprecationReason defaultValue type { ${TYPE} }`;
const INPUT_VALUES = `(includeDeprecated: true) { ${INPUT_VALUE} }`;

/** All that introspection shows. */
export const INTROSPECTION = `{
  __schema {
    description queryType { name kind } mutationType { name kind } subscriptionType { name kind }
    types {
      kind name description specifiedByURL isOneOf ofType { name } interfaces { name } possibleTypes { name } inputFields${INPUT_VALUES}
      fields(includeDeprecated: true) { name description isDeprecated deprecationReason args${INPUT_VALUES} type { ${TYPE} } }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
    }
    directives { name description isRepeatable locations args${INPUT_VALUES} }
  }
}`;

/** Moves a member of an object to its end. */
function moveToEnd(object, name) {
  const value = object[name];
  delete object[name];
  object[name] = value;
}

const remove = (list, isRemoved) => list.splice(0, list.length, ...list.filter((item) => !isRemoved(item)));

/** Changes a schema, and graphql-js's own introspection types with it. */
export function asOfSeptember2025(schema) {
  // The deprecation of directives is a draft of a later edition.
  const { __Directive: directive, __DirectiveLocation: location, __Schema: meta, __Type: type } = schema.getTypeMap();
  delete directive.getFields().isDeprecated;
  delete directive.getFields().deprecationReason;
  remove(meta.getFields().directives.args, () => true);
  remove(location.getValues(), ({ name }) => name === 'DIRECTIVE_DEFINITION');
  remove(schema.getDirective('deprecated').locations, (name) => name === 'DIRECTIVE_DEFINITION');
  // The order is free: Switchboard sorts types and directives by name.
  moveToEnd(directive.getFields(), 'isRepeatable');
  moveToEnd(type.getFields(), 'specifiedByURL');
  moveToEnd(type.getFields(), 'isOneOf');
  Object.keys(schema.getTypeMap()).sort().forEach((name) => moveToEnd(schema.getTypeMap(), name));
  schema.getDirectives().sort((one, other) => (one.name < other.name ? -1 : 1));
  return schema;
}
