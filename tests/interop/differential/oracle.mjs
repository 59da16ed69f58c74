// graphql-js as the reference: whether it accepts a request, and the data that it returns.
//
// Its fields resolve through Switchboard, each by a request of one fixed form: one field, its arguments as variables, and
// the leaves of its type. graphql-js alone does what is compared: aliases, fragments, directives, merging, coercion.

import {
  execute, getNamedType, getOperationAST, getVariableValues, isInterfaceType, isObjectType, parse, validate,
} from 'graphql';

/** Fields that change from one request to the next. Generated documents that are compared do not select them. */
export const CHANGING = new Set([
  'freshness', 'quota', 'lastSuccessAt', 'lastError', 'cache', 'state@Upstream', 'retryAt', 'fetchedAt', 'refreshDueAt',
]);

/** Types whose objects are read by their ID. */
const BY_ID = {
  Provider: 'node', ConnectedAccount: 'node', Toolkit: 'node', User: 'user',
};

/** Fields without arguments that cost calls of their own. */
const LAZY = new Set(['statusCounts', 'disagreement', 'providerCounts', 'accountCounts', 'providersNeedingAttention']);

export const isChanging = (type, field) => CHANGING.has(field.name) || CHANGING.has(`${field.name}@${type.name}`);

/** The reason why graphql-js refuses a request before it executes it, or the parsed document. */
export function judge(schema, { query, variables = '{}', operationName = null }) {
  let document;
  try {
    document = parse(query);
  } catch (error) {
    return { refused: error.message };
  }
  let wrong;
  try {
    [wrong] = validate(schema, document);
  } catch (error) {
    // graphql-js evaluates @skip and @include of a subscription's root without variables, and throws on a variable.
    return { refused: error.message };
  }
  if (wrong) return { refused: wrong.message };
  const operation = getOperationAST(document, operationName);
  if (!operation) return { refused: 'no such operation' };
  // graphql-js checks this only at execution.
  if (!schema.getRootType(operation.operation)) return { refused: 'no such root' };
  const { errors } = getVariableValues(schema, operation.variableDefinitions ?? [], JSON.parse(variables));
  if (errors) return { refused: errors[0].message };
  return { document, operation };
}

/** The items of a list that failed. Switchboard merges errors of one cause. */
function itemErrors(errors, keys) {
  const failed = errors.flatMap(({ message, path, extensions }) => (extensions.paths ?? [path]).map((at) => [at, message]));
  return failed.filter(([at]) => at.length === keys.length + 1).map(([at, message]) => [at.at(-1), message]);
}

export class Oracle {
  constructor(schema, client) {
    this.schema = schema;
    this.client = client;
    this.loaded = new Map();
  }

  /** What graphql-js returns for an accepted request: `{ data, errors }`. */
  async execute(document, { variables = '{}', operationName = null }) {
    return execute({
      schema: this.schema,
      document,
      operationName,
      variableValues: JSON.parse(variables),
      fieldResolver: (source, args, _, info) => this.#resolve(source, args, info),
      typeResolver: (value) => value.values.__typename,
    });
  }

  async #resolve(source, args, info) {
    const field = info.parentType.getFields()[info.fieldName];
    if (source === undefined) return this.#load({ open: '', close: '', variables: {}, declared: [], keys: [] }, field, args);
    const { values, path } = source.isReference ? await this.#object(source) : source;
    if (field.args.length > 0 || LAZY.has(field.name)) return this.#load(path, field, args);
    return this.#wrap(values[field.name], { ...path, keys: [...path.keys, field.name] }, info.parentType, values);
  }

  /** The object of a reference, with all its leaves. */
  async #object({ values: { __typename, id } }) {
    const root = BY_ID[__typename];
    const path = {
      open: `${root}(id: $id) { ... on ${__typename} {`, close: '} }', declared: ['$id: ID!'], variables: { id }, keys: [root],
    };
    const type = this.schema.getType(__typename);
    const response = await this.#ask(path, this.#leaves(type));
    return { values: response.data[root], path };
  }

  /** One field of the object at a path. */
  async #load(path, field, args) {
    const names = Object.keys(args);
    const level = path.declared.length;
    const definitions = names.map((name) => field.args.find((argument) => argument.name === name));
    const declared = definitions.map(({ type, name }) => `$${name}${level}: ${String(type)}`);
    const given = names.map((name) => `${name}: $${name}${level}`);
    const text = field.name + (given.length > 0 ? `(${given.join(', ')})` : '');
    const type = getNamedType(field.type);
    const isComposite = isObjectType(type) || isInterfaceType(type);
    const variables = { ...path.variables };
    for (const name of names) variables[`${name}${level}`] = args[name];
    const inner = { ...path, declared: [...path.declared, ...declared], variables, keys: [...path.keys, field.name] };
    const selection = isComposite ? `{ ${this.#selection(type)} }` : '';
    const response = await this.#ask(inner, `${text} ${selection}`);
    const value = inner.keys.reduce((object, key) => object?.[key], response.data);
    if (value == null && response.errors) throw new Error(response.errors[0].message);
    for (const [index, message] of itemErrors(response.errors ?? [], inner.keys)) value[index] = new Error(message);
    const within = { ...inner, open: `${path.open} ${text} {`, close: `} ${path.close}` };
    return this.#wrap(value, within, undefined, undefined);
  }

  async #ask({ open, close, declared, variables }, text) {
    const query = `query ${declared.length > 0 ? `(${declared.join(', ')})` : ''} { ${open} ${text} ${close} }`;
    const key = query + JSON.stringify(variables);
    if (!this.loaded.has(key)) {
      this.loaded.set(key, this.client.ask({ query, variables: JSON.stringify(variables) }));
    }
    const response = await this.loaded.get(key);
    if (!('data' in response)) throw new Error(`${query} is refused: ${JSON.stringify(response)}`);
    return response;
  }

  #wrap(value, path, parentType, parent) {
    if (value instanceof Error) return value;
    if (Array.isArray(value)) return value.map((item) => this.#wrap(item, path, parentType, parent));
    if (value === null || typeof value !== 'object') return value;
    if (value.__typename in BY_ID) return { isReference: true, values: value };
    // An auth config has no ID of its own to ask by; an account that it belongs to has.
    if (value.__typename === 'AuthConfig') {
      const { id } = parent;
      const open = 'connectedAccount(id: $id) { authConfig {';
      return { values: value, path: { open, close: '} }', declared: ['$id: ID!'], variables: { id }, keys: ['connectedAccount', 'authConfig'] } };
    }
    return { values: value, path };
  }

  #selection(type) {
    if (type.name in BY_ID || isInterfaceType(type)) return '__typename id';
    return `__typename ${this.#leaves(type)}`;
  }

  #leaves(type) {
    const fields = Object.values(type.getFields());
    const eager = fields.filter((field) => field.args.length === 0 && !LAZY.has(field.name) && !isChanging(type, field));
    const text = (field) => {
      const inner = getNamedType(field.type);
      return isObjectType(inner) || isInterfaceType(inner) ? `${field.name} { ${this.#selection(inner)} }` : field.name;
    };
    return ['__typename', ...eager.map(text)].join(' ');
  }
}
