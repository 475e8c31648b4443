//! The queries that have PostgreSQL tell, statement by statement, how a table would be made again.

/// The sequences that columns own, but for those of identities, which come with the column.
pub(super) const SEQUENCES: &str = "
    select format('CREATE %sSEQUENCE %s AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
                  case s.relpersistence when 'u' then 'UNLOGGED ' else '' end, s.oid::regclass,
                  format_type(q.seqtypid, null), q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache,
                  case when q.seqcycle then ' CYCLE' else '' end) as sql
      from pg_catalog.pg_depend d
      join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
      join pg_catalog.pg_sequence q on q.seqrelid = s.oid
     where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
       and d.refobjid = $1 and d.deptype = 'a'
     order by 1";

/// Gives them to their columns.
pub(super) const OWNED: &str = "
    select format('ALTER SEQUENCE %s OWNED BY %s.%I', s.oid::regclass, a.attrelid::regclass, a.attname) as sql
      from pg_catalog.pg_depend d
      join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
      join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
       and d.refobjid = $1 and d.deptype = 'a'
     order by 1";

/// The table with its columns and options.
pub(super) const CREATE: &str = "
    select format(E'CREATE %sTABLE %s (\\n%s\\n)%s%s%s',
                  case c.relpersistence when 'u' then 'UNLOGGED ' else '' end, c.oid::regclass,
        (select string_agg(format('    %I %s%s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                    case when a.attcollation <> t.typcollation then ' COLLATE ' || a.attcollation::regcollation end,
                    case when a.attgenerated = 's' then ' GENERATED ALWAYS AS (' || pg_get_expr(e.adbin, e.adrelid) || ') STORED'
                         when a.attgenerated = 'v' then ' GENERATED ALWAYS AS (' || pg_get_expr(e.adbin, e.adrelid) || ')'
                         else ' DEFAULT ' || pg_get_expr(e.adbin, e.adrelid) end,
                    (select format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %s INCREMENT BY %s MINVALUE %s MAXVALUE %s '
                                   'START WITH %s CACHE %s%s)',
                                   case a.attidentity when 'a' then 'ALWAYS' else 'BY DEFAULT' end, s.oid::regclass,
                                   q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache,
                                   case when q.seqcycle then ' CYCLE' else '' end)
                       from pg_catalog.pg_depend d
                       join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
                       join pg_catalog.pg_sequence q on q.seqrelid = s.oid
                      where d.classid = 'pg_catalog.pg_class'::regclass
                        and d.refclassid = 'pg_catalog.pg_class'::regclass
                        and d.refobjid = c.oid and d.refobjsubid = a.attnum and d.deptype = 'i'),
                    case when k.oid is null then case when a.attnotnull then ' NOT NULL' end
                         when k.convalidated then
                              coalesce(case when octet_length(concat(c.relname, '_', a.attname, '_not_null')) > 63
                                     or k.conname <> concat(c.relname, '_', a.attname, '_not_null')
                                   then format(' CONSTRAINT %I', k.conname) end, '')
                              || ' NOT NULL' || case when k.connoinherit then ' NO INHERIT' else '' end end),
                  E',\\n' order by a.attnum)
           from pg_catalog.pg_attribute a
           join pg_catalog.pg_type t on t.oid = a.atttypid
           left join pg_catalog.pg_attrdef e on e.adrelid = a.attrelid and e.adnum = a.attnum
           left join pg_catalog.pg_constraint k
                  on k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum]
          where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
        case when m.amname <> 'heap' then format(' USING %I', m.amname) end,
        (select format(' WITH (%s)', string_agg(format('%s=%L', split_part(o.name, '=', 1),
                                                       substr(o.name, strpos(o.name, '=') + 1)), ', '))
           from (select unnest(c.reloptions)
                 union all
                 select 'toast.' || unnest(x.reloptions) from pg_catalog.pg_class x where x.oid = c.reltoastrelid
                ) o(name)
         having count(*) > 0),
        (select format(' TABLESPACE %I', s.spcname) from pg_catalog.pg_tablespace s where s.oid = c.reltablespace)) as sql
      from pg_catalog.pg_class c
      left join pg_catalog.pg_am m on m.oid = c.relam
     where c.oid = $1";

/// Everything after the columns, but for foreign keys and privileges.
pub(super) const DETAILS: &str = "
    with own as (select c.*, c.oid as id, c.oid::regclass as called from pg_catalog.pg_class c where c.oid = $1),
    sequences as (
        select s.oid::regclass as called, s.oid as id
          from pg_catalog.pg_depend d join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
         where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
           and d.refobjid = $1 and d.deptype in ('a', 'i')),
    columns as (
        select a.*, to_jsonb(a) as facts, own.called from own join pg_catalog.pg_attribute a on a.attrelid = own.id
         where a.attnum > 0 and not a.attisdropped),
    indexes as (
        select i.*, x.relname, x.reloptions, x.reltablespace, i.indexrelid::regclass as index_called, own.called,
               k.oid as constraint_id
          from own join pg_catalog.pg_index i on i.indrelid = own.id
          join pg_catalog.pg_class x on x.oid = i.indexrelid
          left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid
                                               and k.contype in ('p', 'u', 'x')),
    statistics as (
        select s.*, to_jsonb(s) as facts, format('%I.%I', n.nspname, s.stxname) as stat_called
          from pg_catalog.pg_statistic_ext s join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
         where s.stxrelid = $1),
    triggers as (select g.*, own.called from own join pg_catalog.pg_trigger g on g.tgrelid = own.id and not g.tgisinternal),
    rules as (select r.*, own.called from own join pg_catalog.pg_rewrite r on r.ev_class = own.id and r.rulename <> '_RETURN'),
    policies as (select p.*, own.called from own join pg_catalog.pg_policy p on p.polrelid = own.id)
    select sql from (
        select 20, a.attnum::text, format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', a.called, a.attname,
                   case a.attstorage when 'p' then 'PLAIN' when 'e' then 'EXTERNAL' when 'm' then 'MAIN' else 'EXTENDED' end)
          from columns a join pg_catalog.pg_type t on t.oid = a.atttypid where a.attstorage <> t.typstorage
        union all
        select 21, a.attnum::text, format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', a.called, a.attname,
                   case a.facts ->> 'attcompression' when 'p' then 'pglz' else 'lz4' end)
          from columns a where a.facts ->> 'attcompression' in ('p', 'l')
        union all
        select 22, a.attnum::text, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', a.called, a.attname,
                   a.facts ->> 'attstattarget')
          from columns a where a.facts ->> 'attstattarget' <> '-1'
        union all
        select 23, a.attnum::text, format('ALTER TABLE %s ALTER COLUMN %I SET (%s)', a.called, a.attname,
                   (select string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
                      from unnest(a.attoptions) o))
          from columns a where a.attoptions is not null
        union all
        select case k.contype when 'n' then 24 when 'p' then 30 when 'u' then 31 when 'x' then 32 else 33 end,
               k.conname::text, format('ALTER TABLE %s ADD CONSTRAINT %I %s', own.called, k.conname, pg_get_constraintdef(k.oid))
          from own join pg_catalog.pg_constraint k on k.conrelid = own.id
         where k.contype in ('p', 'u', 'x', 'c') or (k.contype = 'n' and not k.convalidated)
        union all
        select 40, i.relname::text, pg_get_indexdef(i.indexrelid) from indexes i where i.constraint_id is null
        union all
        select 41, i.relname::text, format('ALTER INDEX %s SET (%s)', i.index_called,
                   (select string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
                      from unnest(i.reloptions) o))
          from indexes i where i.reloptions is not null and i.constraint_id is not null
        union all
        select 42, i.relname::text, format('ALTER INDEX %s SET TABLESPACE %I', i.index_called, s.spcname)
          from indexes i join pg_catalog.pg_tablespace s on s.oid = i.reltablespace
        union all
        select 43, i.relname::text || a.attnum, format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', i.index_called,
                   a.attnum, to_jsonb(a) ->> 'attstattarget')
          from indexes i join pg_catalog.pg_attribute a on a.attrelid = i.indexrelid
         where to_jsonb(a) ->> 'attstattarget' <> '-1'
        union all
        select 44, '', format('ALTER TABLE %s CLUSTER ON %I', i.called, i.relname) from indexes i where i.indisclustered
        union all
        select 45, '', format('ALTER TABLE %s REPLICA IDENTITY %s', own.called,
                   case own.relreplident when 'f' then 'FULL' when 'n' then 'NOTHING'
                        else (select format('USING INDEX %I', i.relname) from indexes i where i.indisreplident) end)
          from own where own.relreplident <> 'd'
        union all
        select 50, s.stat_called, pg_get_statisticsobjdef(s.oid) from statistics s
        union all
        select 51, s.stat_called, format('ALTER STATISTICS %s SET STATISTICS %s', s.stat_called, s.facts ->> 'stxstattarget')
          from statistics s where s.facts ->> 'stxstattarget' <> '-1'
        union all
        select 52, s.stat_called, format('ALTER STATISTICS %s OWNER TO %I', s.stat_called, r.rolname)
          from statistics s join pg_catalog.pg_roles r on r.oid = s.stxowner where r.rolname <> current_user
        union all
        select 60, r.rulename::text, rtrim(pg_get_ruledef(r.oid), ';') from rules r
        union all
        select 61, r.rulename::text, format('ALTER TABLE %s %s RULE %I', r.called,
                   case r.ev_enabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, r.rulename)
          from rules r where r.ev_enabled <> 'O'
        union all
        select 62, g.tgname::text, pg_get_triggerdef(g.oid) from triggers g
        union all
        select 63, g.tgname::text, format('ALTER TABLE %s %s TRIGGER %I', g.called,
                   case g.tgenabled when 'D' then 'DISABLE' when 'R' then 'ENABLE REPLICA' else 'ENABLE ALWAYS' end, g.tgname)
          from triggers g where g.tgenabled <> 'O'
        union all
        select 70, p.polname::text, format('CREATE POLICY %I ON %s%s FOR %s TO %s%s%s', p.polname, p.called,
                   case when p.polpermissive then '' else ' AS RESTRICTIVE' end,
                   case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE'
                        else 'ALL' end,
                   (select string_agg(case when o.id = 0 then 'PUBLIC' else quote_ident(r.rolname) end, ', ' order by o.place)
                      from unnest(p.polroles) with ordinality o(id, place) left join pg_catalog.pg_roles r on r.oid = o.id),
                   ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                   ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
          from policies p
        union all
        select 71, '', format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', own.called) from own where own.relrowsecurity
        union all
        select 72, '', format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', own.called) from own where own.relforcerowsecurity
        union all
        select 80, '', format('COMMENT ON TABLE %s IS %L', own.called, obj_description(own.id, 'pg_class'))
          from own where obj_description(own.id, 'pg_class') is not null
        union all
        select 81, a.attnum::text, format('COMMENT ON COLUMN %s.%I IS %L', a.called, a.attname,
                   col_description(a.attrelid, a.attnum))
          from columns a where col_description(a.attrelid, a.attnum) is not null
        union all
        select 82, k.conname::text, format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, own.called,
                   obj_description(k.oid, 'pg_constraint'))
          from own join pg_catalog.pg_constraint k on k.conrelid = own.id and k.contype <> 'f'
         where obj_description(k.oid, 'pg_constraint') is not null
        union all
        select 83, i.relname::text, format('COMMENT ON INDEX %s IS %L', i.index_called, obj_description(i.indexrelid, 'pg_class'))
          from indexes i where obj_description(i.indexrelid, 'pg_class') is not null
        union all
        select 84, g.tgname::text, format('COMMENT ON TRIGGER %I ON %s IS %L', g.tgname, g.called,
                   obj_description(g.oid, 'pg_trigger'))
          from triggers g where obj_description(g.oid, 'pg_trigger') is not null
        union all
        select 85, p.polname::text, format('COMMENT ON POLICY %I ON %s IS %L', p.polname, p.called,
                   obj_description(p.oid, 'pg_policy'))
          from policies p where obj_description(p.oid, 'pg_policy') is not null
        union all
        select 86, r.rulename::text, format('COMMENT ON RULE %I ON %s IS %L', r.rulename, r.called,
                   obj_description(r.oid, 'pg_rewrite'))
          from rules r where obj_description(r.oid, 'pg_rewrite') is not null
        union all
        select 87, s.stat_called, format('COMMENT ON STATISTICS %s IS %L', s.stat_called, obj_description(s.oid, 'pg_statistic_ext'))
          from statistics s where obj_description(s.oid, 'pg_statistic_ext') is not null
        union all
        select 88, s.called::text, format('COMMENT ON SEQUENCE %s IS %L', s.called, obj_description(s.id, 'pg_class'))
          from sequences s where obj_description(s.id, 'pg_class') is not null
    ) all_of_it(rank, name, sql)
    order by rank, name";

/// Privileges on its sequences.
pub(super) const SEQUENCE_GRANTS: &str = "
    select format('GRANT %s ON SEQUENCE %s TO %s%s', string_agg(distinct x.privilege_type, ', '), s.oid::regclass,
                  case when x.grantee = 0 then 'PUBLIC' else quote_ident(r.rolname) end,
                  case when x.is_grantable then ' WITH GRANT OPTION' else '' end) as sql
      from pg_catalog.pg_depend d
      join pg_catalog.pg_class s on s.oid = d.objid and s.relkind = 'S'
     cross join lateral pg_catalog.aclexplode(s.relacl) x
      left join pg_catalog.pg_roles r on r.oid = x.grantee
     where d.classid = 'pg_catalog.pg_class'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
       and d.refobjid = $1 and d.deptype in ('a', 'i') and x.grantee <> s.relowner
       and (x.grantee = 0 or r.rolname is not null)
     group by s.oid, x.grantee, r.rolname, x.is_grantable
     order by 1";

/// Its part in publications.
pub(super) const PUBLICATIONS: &str = "
    select format('ALTER PUBLICATION %I ADD TABLE ONLY %s%s%s', p.pubname, r.prrelid::regclass,
                  (select format(' (%s)', string_agg(quote_ident(a.attname), ', ' order by k.place))
                     from unnest(r.prattrs) with ordinality k(number, place)
                     join pg_catalog.pg_attribute a on a.attrelid = r.prrelid and a.attnum = k.number
                   having count(*) > 0),
                  ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')') as sql
      from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
     where r.prrelid = $1
     order by 1";

/// The same where publications know neither columns nor conditions.
pub(super) const PUBLICATIONS_BEFORE_15: &str = "
    select format('ALTER PUBLICATION %I ADD TABLE ONLY %s', p.pubname, r.prrelid::regclass) as sql
      from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
     where r.prrelid = $1
     order by 1";

/// The names of the types of its schema.
pub(super) const TYPES: &str = "
    select t.typname::text as sql from pg_catalog.pg_class c join pg_catalog.pg_type t on t.typnamespace = c.relnamespace
     where c.oid = $1 order by 1";
