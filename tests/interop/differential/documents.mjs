// Generated documents: selections, aliases, fragments, directives, variables and operations that fit the schema or just do
// not. graphql-js decides which.

import {
  getNamedType, isEnumType, isInputObjectType, isInterfaceType, isLeafType, isListType, isNonNullType, isObjectType,
  isRequiredArgument,
} from 'graphql';

import { isChanging } from './oracle.mjs';

const DEPTH = 5;
const ALIASES = ['a', 'b', 'id', 'name', 'nodes', '_', 'on'];
const UNKNOWN_TYPES = ['Nothing', 'String', 'ProviderStatus', 'ProviderFilter', '__Type'];
/** Words that a fault puts into a document. */
const WORDS = [
  '{', '}', '(', ')', '[', ']', ':', '=', '!', '|', '&', '$', '@', '...', ',', '"', '""', '"""', '#\n', 'on', 'fragment', 'query',
  'mutation', 'subscription', 'true', 'false', 'null', '0', '-1', '1.5', '"a"', 'id', 'a', '$v0', '@skip(if: true)', '@deprecated', '__typename',
  '\uFEFF', '\u00A0', '\u0000', '\u2028', '\u200B', '\\', ';', '%', "'", '`', 'é', '😀', '..', '....', '"description"', '"""block"""', 'extend', 'type',
];
const TOKEN = /"""(?:\\"""|[^])*?"""|"(?:\\.|[^"\\\n])*"|\.\.\.|[A-Za-z_]\w*|-?\d[\d.eE+-]*|[^\s,]/g;

export class DocumentGenerator {
  /** `ids`: IDs of objects that exist, by their type. */
  constructor(schema, random, ids) {
    Object.assign(this, { schema, random, ids });
    this.composites = Object.values(schema.getTypeMap()).filter((type) => isObjectType(type) || isInterfaceType(type));
    this.introspection = { __schema: schema.getType('__Schema'), __type: schema.getType('__Type') };
  }

  /** A request: `{ query, variables, operationName }`, `variables` as JSON text. */
  request() {
    const { random } = this;
    Object.assign(this, { fragments: new Map(), variables: new Map(), left: 40 });
    const kind = random.pick(['query', 'query', 'query', 'query', 'query', 'query', 'introspection', 'introspection', 'mutation', 'subscription']);
    const isMultiple = random.chance(0.08);
    const operations = [this.#operation(kind, isMultiple || random.chance(0.3) ? 'A' : '')];
    if (isMultiple) operations.push(this.#operation('query', random.pick(['', 'A', 'B', 'B', 'B', 'B'])));
    const operationName = isMultiple || random.chance(0.05) ? random.pick(['A', 'A', 'A', 'B', 'C', null]) : null;
    const values = [...this.variables.values()].filter(({ json }) => json !== undefined);
    if (random.chance(0.05)) values.push({ name: 'extra', json: '[1]' });
    let query = [...operations, ...this.#definitions()].join(' ');
    if (random.chance(0.12)) query = this.#withFault(query);
    return { query, variables: `{${values.map(({ name, json }) => `"${name}":${json}`).join(',')}}`, operationName };
  }

  #operation(kind, name) {
    const { random, schema } = this;
    const keyword = kind === 'introspection' ? 'query' : kind;
    const root = { mutation: schema.getMutationType(), subscription: schema.getSubscriptionType() }[kind] ?? schema.getQueryType();
    this.operation = new Set();
    const selection = this.#root(kind, root);
    const declared = [...this.operation].map((variable) => this.variables.get(variable).text);
    if (random.chance(0.01)) declared.push('$unused: Int');
    if (random.chance(0.01)) declared.pop();
    const description = random.chance(0.03) ? '"A description." ' : '';
    const directive = random.chance(0.005) ? this.#directive() : '';
    const head = name || declared.length > 0 || directive || description || keyword !== 'query' ? `${description}${keyword} ${name}` : '';
    return `${head}${declared.length > 0 ? `(${declared.join(random.pick([', ', ' ', ',']))})` : ''}${directive} { ${selection} }`;
  }

  #root(kind, root) {
    if (kind === 'introspection') return this.#introspection();
    if (kind === 'subscription' && this.random.chance(0.9)) return this.#field(root, 0, Object.values(root.getFields()));
    return this.#selections(root, 0);
  }

  #introspection() {
    const names = [...Object.keys(this.schema.getTypeMap()), 'Nothing'];
    const one = () => this.random.chance(0.5)
      ? `__schema { ${this.#selections(this.introspection.__schema, 1)} }`
      : `${this.#alias()}__type(name: "${this.random.pick(names)}") { ${this.#selections(this.introspection.__type, 1)} }`;
    return this.random.some([0], 2).map(one).join(' ');
  }

  #definitions() {
    const written = [];
    // A fragment can add others while it is written.
    for (const [name, fragment] of this.fragments) {
      written.push(`fragment ${name} on ${fragment.on}${fragment.directive} { ${fragment.selections} }`);
    }
    if (this.random.chance(0.01)) written.push('fragment Unused on Query { __typename }');
    return written;
  }

  #selections(type, depth) {
    const count = 1 + this.random.below(depth < 2 ? 4 : 3);
    return Array.from({ length: count }, () => this.#selectionOf(type, depth)).join(' ');
  }

  #selectionOf(type, depth) {
    const { random } = this;
    this.left -= 1;
    if (depth < DEPTH && this.left > 0) {
      if (random.chance(0.1)) return this.#inline(type, depth);
      if (random.chance(0.1)) return this.#spread(type, depth);
    }
    if (random.chance(0.08)) return `${this.#alias()}__typename${this.#directives()}`;
    if (random.chance(0.004)) return random.pick(['nothing', '__schema { queryType { name } }', 'id { a }', '__type(name: "Query") { name }']);
    const fields = Object.values(type.getFields()).filter((field) => !isChanging(type, field));
    return this.#field(type, depth, fields);
  }

  #field(type, depth, fields) {
    const isEnd = depth >= DEPTH || this.left <= 0;
    const leaves = fields.filter((field) => isLeafType(getNamedType(field.type)));
    if (isEnd && leaves.length === 0) return '__typename';
    const field = this.random.pick(isEnd ? leaves : fields);
    const inner = getNamedType(field.type);
    const head = `${this.#alias(field)}${field.name}${this.#arguments(field)}${this.#directives()}`;
    if (isLeafType(inner)) return head;
    return `${head} { ${this.#selections(inner, depth + 1)} }`;
  }

  /** Usually unique where arguments would conflict. */
  #alias(field) {
    if (field?.args.length > 0 && this.random.chance(0.9)) return `f${this.left < 0 ? -this.left : `_${this.left}`}: `;
    return this.random.chance(0.08) ? `${this.random.pick(ALIASES)}: ` : '';
  }

  #condition(type) {
    const { random, schema } = this;
    if (random.chance(0.01)) return random.pick(UNKNOWN_TYPES);
    if (random.chance(0.02)) return random.pick(this.composites).name;
    if (isInterfaceType(type)) return random.pick([type, ...schema.getPossibleTypes(type)]).name;
    return random.pick([type, ...type.getInterfaces()]).name;
  }

  #within(name, type, depth) {
    const on = this.schema.getType(name);
    const isComposite = isObjectType(on) || isInterfaceType(on);
    return this.#selections(isComposite ? on : type, depth + 1);
  }

  #inline(type, depth) {
    const on = this.random.chance(0.2) ? undefined : this.#condition(type);
    const condition = on ? ` on ${on}` : '';
    return `...${condition}${this.#directives()} { ${on ? this.#within(on, type, depth) : this.#selections(type, depth + 1)} }`;
  }

  #spread(type, depth) {
    const { random } = this;
    const fits = ([, { on, selections }]) => random.chance(0.02) || (on === type.name && selections !== '');
    const known = [...this.fragments].filter(fits);
    if (known.length > 0 && random.chance(0.6)) {
      const [name, fragment] = random.pick(known);
      fragment.variables.forEach((variable) => this.operation.add(variable));
      return `...${name}${this.#directives()}`;
    }
    if (random.chance(0.01)) return '...Unknown';
    const name = `F${this.fragments.size}`;
    const on = this.#condition(type);
    const fragment = { on, directive: random.chance(0.005) ? this.#directive() : '', selections: '', variables: new Set() };
    this.fragments.set(name, fragment);
    const before = this.operation;
    this.operation = fragment.variables;
    fragment.selections = this.#within(on, type, depth);
    this.operation = before;
    fragment.variables.forEach((variable) => this.operation.add(variable));
    return `...${name}${this.#directives()}`;
  }

  #directives() {
    const { random } = this;
    if (!random.chance(0.08)) return '';
    return this.#directive() + (random.chance(0.05) ? this.#directive() : '');
  }

  #directive() {
    const { random } = this;
    if (random.chance(0.04)) return random.pick([' @nothing', ' @skip', ' @deprecated', ' @skip(unless: true)', ' @include(if: 1)', ' @oneOf']);
    const type = this.schema.getDirective('skip').args[0].type;
    return ` @${random.pick(['skip', 'include'])}(if: ${this.#value(type, false)})`;
  }

  #arguments(field) {
    const { random } = this;
    const given = field.args.filter((argument) => (isRequiredArgument(argument) ? !random.chance(0.005) : random.chance(0.3)));
    const texts = given.map((argument) => `${argument.name}: ${this.#value(argument.type, argument.defaultValue !== undefined)}`);
    if (random.chance(0.003)) texts.push(random.pick(['nothing: 1', 'first: 1', 'id: "x"']));
    if (random.chance(0.2)) texts.reverse();
    return texts.length > 0 ? `(${texts.join(', ')})` : '';
  }

  #value(type, hasDefault) {
    return this.random.chance(0.3) ? this.#variable(type, hasDefault) : this.#constant(type, false);
  }

  #variable(type, hasDefault) {
    const { random } = this;
    const alike = [...this.variables].filter(([, variable]) => random.chance(0.05) || variable.type === String(type));
    if (alike.length > 0 && random.chance(0.4)) {
      const [name] = random.pick(alike);
      this.operation.add(name);
      return `$${name}`;
    }
    const name = `v${this.variables.size}`;
    let declared = type;
    if (random.chance(0.1) && isNonNullType(type)) declared = type.ofType;
    let text = `$${name}: ${declared}`;
    if (random.chance(0.01)) text = `$${name}: ${random.pick(['Int', 'String', '[String!]', 'ID!', 'Boolean', 'Provider', 'Nothing'])}`;
    if (random.chance(0.02)) text = `"A description." ${text}`;
    const isDefaulted = random.chance(hasDefault || declared !== type ? 0.5 : 0.2);
    if (isDefaulted) text += ` = ${this.#constant(declared, false, !random.chance(0.02))}`;
    const isLeftOut = random.chance(isDefaulted ? 0.6 : isNonNullType(declared) ? 0.01 : 0.2);
    const json = isLeftOut ? undefined : this.#constant(declared, true);
    this.variables.set(name, { name, text, json, type: String(type) });
    this.operation.add(name);
    return `$${name}`;
  }

  /** A value of a type, as a literal or as JSON; sometimes of another type. */
  #constant(type, isJson, isInDefault = false) {
    const { random } = this;
    if (random.chance(0.004)) return random.pick(['1', '"a"', 'true', '[]', '{}', '1.5', '[1]', '[[null]]', 'null']);
    const isNullable = !isNonNullType(type);
    if (!isNullable) type = type.ofType;
    if (isNullable && random.chance(0.08)) return 'null';
    if (isListType(type)) {
      if (random.chance(0.1)) return this.#constant(type.ofType, isJson, isInDefault);
      return `[${random.some([0], 3).map(() => this.#constant(type.ofType, isJson, isInDefault)).join(',')}]`;
    }
    if (isEnumType(type)) {
      const { name } = random.pick(type.getValues());
      return isJson ? `"${name}"` : name;
    }
    if (isInputObjectType(type)) {
      const fields = Object.values(type.getFields()).filter((field) => isRequiredArgument(field) || random.chance(0.3));
      const member = (field) => {
        const isVariable = !isJson && !isInDefault && random.chance(0.1);
        const value = isVariable ? this.#variable(field.type, field.defaultValue !== undefined) : this.#constant(field.type, isJson, isInDefault);
        return isJson ? `"${field.name}":${value}` : `${field.name}: ${value}`;
      };
      return `{${fields.map(member).join(', ')}}`;
    }
    if (type.name === 'Boolean') return random.pick(['true', 'false']);
    // Not 0: a page of no rows costs no call, so `hasNextPage` says only what is already known.
    if (type.name === 'Int') return random.pick(['1', '2', '3', '5', '-1', '100', '101', ...(isJson ? ['2.0'] : [])]);
    const text = random.pick([...this.ids, 'gmail', 'slack', 'GMAIL', 'user_1', '', 'é😀']);
    if (type.name === 'ID' && random.chance(0.05)) return random.pick(['7', '12345678901234']);
    return random.chance(0.05) && !isJson ? `"""${text}"""` : JSON.stringify(text);
  }

  /** The document with one token removed, repeated, moved or replaced. */
  #withFault(query) {
    const { random } = this;
    const tokens = [...query.matchAll(TOKEN)];
    const { index, 0: token } = random.pick(tokens);
    const before = query.slice(0, index);
    const rest = query.slice(index + token.length);
    const other = random.chance(0.5) ? random.pick(WORDS) : random.pick(tokens)[0];
    return random.pick([
      () => before + rest,
      () => `${before}${token} ${token}${rest}`,
      () => `${before}${other}${rest}`,
      () => `${before}${other} ${token}${rest}`,
      () => query.slice(0, index),
    ])();
  }
}
