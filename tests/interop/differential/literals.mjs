// Values of every kind for every input position of the schema: each argument of each field, each field of each input
// object, and the arguments of directives; as a literal, as a variable, and as a variable's default.

import { getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType, isObjectType, isRequiredArgument } from 'graphql';

const digits = '123456789012345678901234567890';

/** Literals as a document writes them. Some are not valid anywhere. */
const LITERALS = [
  '0', '-0', '1', '-1', '7', '2147483647', '2147483648', '-2147483648', '-2147483649', '9007199254740993',
  '9223372036854775807', '9223372036854775808', '-9223372036854775809', '18446744073709551616', digits, `-${digits}`,
  '1'.repeat(400), '0.0', '-0.0', '1.0', '1.5', '1e3', '1E-3', '1e400', '2147483648.0', '00', '01', '+1', '.5', '1.', '0x1F', '1a',
  'NaN', 'Infinity', 'true', 'false', 'null', 'True', 'NULL', 'ACTIVE', 'HEALTHY', 'gmail', 'on', '__a',
  '""', '"a"', '"gmail"', '"ACTIVE"', '"1"', '"true"', '"null"', '" "', '"\\u0061"', '"\\u{61}"', '"\\u{1F600}"', '"\\uD83D\\uDE00"',
  '"\\uD83D"', '"\\uDE00\\uD83D"', '"\\u{110000}"', '"\\u{D83D}"', '"\\u{}"', '"\\u{0000061}"', '"\\u00"', '"\\n\\t\\"\\\\\\/\\b\\f\\r"', '"\\x"', '"\\0"',
  '"\\u0000"', '"ü😀"', '"a,b"', '"a\tb"', '"a\nb"', '"', '"""block"""', '"""\n  two\n    lines\n"""', '"""a \\""" b"""', '"""\\u0061"""', '""""""', '"""a"b""c"""',
  '[]', '[[]]', '[null]', '[1]', '["a"]', '["gmail", "slack"]', '[ACTIVE]', '[HEALTHY]', '[true]', '[[ACTIVE]]', '["a", 1]', '["a", null]', '[1.5]', '[{}]', '[$v]', '[',
  '{}', '{a: 1}', '{field: NAME}', '{field: CREATED_AT}', '{field: CREATED_AT, direction: null}', '{field: CREATED_AT, direction: ASC}',
  '{field: "CREATED_AT"}', '{direction: ASC}', '{statuses: ACTIVE}', '{statuses: []}', '{statuses: [null]}', '{statuses: null}', '{ids: 1}', '{ids: [1, "x", -0]}',
  '{userIds: 7}', '{a: {b: {c: [1]}}}', '{statuses: [ACTIVE], statuses: [ACTIVE]}', '{', '{a}', '$v', '$', 'x(y: 1)', '...', '!', '@skip', '"a" "b"', '1 2',
];

/** Values as JSON carries them, raw: numbers that a double cannot hold included. */
const VALUES = [
  '0', '-0', '1', '-1', '7', '1.0', '-0.0', '1.5', '1e3', '2147483647', '2147483648', '-2147483649', '2147483648.0', '9007199254740991', '1e21', '1e300',
  'true', 'false', 'null', '""', '"a"', '"gmail"', '"ACTIVE"', '"HEALTHY"', '"1"', '"true"', '"\\ud83d\\ude00"', '"\\u0000"', '"a,b"',
  '[]', '[[]]', '[null]', '[1]', '["a"]', '["gmail","slack"]', '["ACTIVE"]', '["HEALTHY"]', '[true]', '[["ACTIVE"]]', '["a",1]', '["a",null]', '[1.5]', '[{}]',
  '{}', '{"a":1}', '{"field":"NAME"}', '{"field":"CREATED_AT"}', '{"field":"CREATED_AT","direction":null}', '{"field":"CREATED_AT","direction":"ASC"}', '{"field":1}',
  '{"direction":"ASC"}', '{"statuses":"ACTIVE"}', '{"statuses":[]}', '{"statuses":[null]}', '{"statuses":null}', '{"ids":1}', '{"ids":[1,"x",-0]}', '{"userIds":7}', '{"0":"a"}',
];

/** A minimal valid literal of an input type. */
export function validLiteral(type) {
  if (isNonNullType(type)) return validLiteral(type.ofType);
  if (isListType(type)) return `[${validLiteral(type.ofType)}]`;
  if (isEnumType(type)) return type.getValues()[0].name;
  if (isInputObjectType(type)) {
    const required = Object.values(type.getFields()).filter(isRequiredArgument);
    return `{${required.map((field) => `${field.name}: ${validLiteral(field.type)}`).join(', ')}}`;
  }
  return { Int: '1', Float: '1.5', Boolean: 'true' }[type.name] ?? '"gmail"';
}

/** Every field that a document can reach, by the shortest way: the text around it. */
export function reachableFields(schema) {
  const found = [];
  const seen = new Set();
  const roots = [
    ['query', schema.getQueryType()], ['mutation', schema.getMutationType()], ['subscription', schema.getSubscriptionType()],
  ];
  const queue = roots.map(([operation, type]) => [type, (inner) => `{ ${inner} }`, operation]);
  const meta = [
    [schema.getType('__Type'), '__type(name: "ConnectedAccountFilter")'],
    [schema.getType('__Schema'), '__schema'],
  ];
  queue.push(...meta.map(([type, field]) => [type, (inner) => `{ ${field} { ${inner} } }`, 'query']));
  while (queue.length > 0) {
    const [type, around, operation] = queue.shift();
    if (seen.has(type)) continue;
    seen.add(type);
    for (const field of Object.values(type.getFields())) {
      found.push({ type, field, around, operation });
      const inner = getNamedType(field.type);
      const required = field.args.filter(isRequiredArgument).map((argument) => `${argument.name}: ${validLiteral(argument.type)}`);
      const text = field.name + (required.length > 0 ? `(${required.join(', ')})` : '');
      const within = (more) => around(`${text} { ${more} }`);
      if (isObjectType(inner)) queue.push([inner, within, operation]);
      for (const possible of 'getInterfaces' in inner && !isObjectType(inner) ? schema.getPossibleTypes(inner) : []) {
        queue.push([possible, (more) => within(`... on ${possible.name} { ${more} }`), operation]);
      }
    }
  }
  return found;
}

/** Every input position: its type, and the document with a value there. */
export function inputPositions(schema) {
  const positions = [];
  const add = (name, type, operation, document) => {
    positions.push({ name, type, operation, document });
    const inner = getNamedType(type);
    if (isListType(isNonNullType(type) ? type.ofType : type)) return;
    for (const field of isInputObjectType(inner) ? Object.values(inner.getFields()) : []) {
      const others = Object.values(inner.getFields()).filter((other) => other !== field && isRequiredArgument(other));
      const rest = others.map((other) => `, ${other.name}: ${validLiteral(other.type)}`).join('');
      add(`${name}.${field.name}`, field.type, operation, (value) => document(`{${field.name}: ${value}${rest}}`));
    }
  };
  for (const { type, field, around, operation } of reachableFields(schema)) {
    for (const argument of field.args) {
      const others = field.args.filter((other) => other !== argument && isRequiredArgument(other));
      const rest = others.map((other) => `, ${other.name}: ${validLiteral(other.type)}`).join('');
      const leaf = getNamedType(field.type);
      const selection = 'getFields' in leaf ? ' { __typename }' : '';
      const document = (value) => around(`${field.name}(${argument.name}: ${value}${rest})${selection}`);
      add(`${type.name}.${field.name}(${argument.name})`, argument.type, operation, document);
    }
  }
  const boolean = schema.getDirective('skip').args[0].type;
  add('__type(name)', schema.getType('__Type').getFields().name.type, 'query', (value) => `{ __type(name: ${value}) { name } }`);
  add('@skip(if)', boolean, 'query', (value) => `{ __typename a: __typename @skip(if: ${value}) }`);
  add('@include(if)', boolean, 'query', (value) => `{ __typename ... @include(if: ${value}) { a: __typename } }`);
  return positions;
}

/** A request for each position and value: `{ name, query, variables }`, `variables` as JSON text. */
export function* literalRequests(schema) {
  for (const { name, type, operation, document } of inputPositions(schema)) {
    const of = `${operation} ($v: ${type})`;
    for (const literal of LITERALS) {
      yield { name: `${name}: ${literal}`, query: `${operation} ${document(literal)}` };
    }
    for (const value of VALUES) {
      yield { name: `${name} by variable: ${value}`, query: `${of} ${document('$v')}`, variables: `{"v":${value}}` };
    }
    yield { name: `${name} by variable, left out`, query: `${of} ${document('$v')}`, variables: '{}' };
    const nullable = String(type).replace(/!$/, '');
    for (const literal of LITERALS) {
      const query = `${operation} ($v: ${nullable} = ${literal}) ${document('$v')}`;
      yield { name: `${name} by default: ${literal}`, query, variables: '{}' };
    }
    for (const other of ['Int', 'Int!', 'String', '[String]', '[String!]!', 'ID', '[ID!]', 'Boolean!', nullable, `[${nullable}]`, `[${nullable}!]!`, 'Provider', 'Nothing']) {
      const query = `${operation} ($v: ${other}) ${document('$v')}`;
      yield { name: `${name} by a variable of type ${other}`, query, variables: '{"v":null}' };
    }
  }
}
