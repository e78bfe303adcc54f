# bash completion for userpager(1). Commands, options and their values come from what the tool says
# for --help. Behind --, or behind the options of a command that runs a program, the words are
# completed as the wrapped program's own completion does it.

# _userpager_help TOOL [COMMAND]: what the tool, or one of its commands, says of itself, without the
# example, in which there are options of other commands. All options of run are record's too.
_userpager_help() {
  "${1/#\~/$HOME}" ${2:+"$2"} --help 2> /dev/null | sed '/^example:/,$d'
  if [ "${2-}" = record ]; then _userpager_help "$1" run | sed '/^usage:/d'; fi
}

_userpager_commands() {
  _userpager_help "$1" |
    sed -n 's/^usage: userpager \([a-z][a-z]*\).*/\1/p
            /^commands:/,/^$/ s/^  \([a-z][a-z]*\) .*/\1/p' | sort -u
}

# The processes under userpager that have announced themselves, by number and by name.
_userpager_processes() {
  local file pid
  for file in /dev/shm/userpager-*-* "${XDG_RUNTIME_DIR:-/dev/shm}"/userpager-*-*; do
    pid=${file##*/userpager-}
    pid=${pid%%-*}
    if [ -r "/proc/$pid/comm" ]; then echo "$pid $(< "/proc/$pid/comm")"; fi
  done | sort -u
}

# Completes the value of an option, by its name or by what --help calls the value.
_userpager_value() {
  local current=$1 option=$2 kind=$3 words=
  case $option:$kind in
    --commit:*) words="lazy strict" ;;
    --children:*) words="paged none" ;;
    --page-file:* | *:FILE | *:PLACE)
      compopt -o filenames 2> /dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    *:SIZE) words="64M 256M 1G 4G 25% 50%" ;;
    *:N) words="1 2 4 8" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

# Completes from the word of that index on as if the line began there.
_userpager_program() {
  if declare -F _command_offset > /dev/null; then
    _command_offset "$1"
  elif [ "$COMP_CWORD" -eq "$1" ]; then
    mapfile -t COMPREPLY < <(compgen -c -- "${COMP_WORDS[COMP_CWORD]}")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
  fi
}

_userpager() {
  local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} help takes_program=no
  local i value kind
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_userpager_commands "$1") --help" -- "$current")
    return
  fi
  help=$(_userpager_help "$1" "$command")
  # A process, and then perhaps a size, or a file.
  local takes_process=no takes_size=no takes_file=no named=no
  if grep -q "^usage: userpager $command .* FILE$" <<< "$help"; then takes_file=yes; fi
  if grep -q "^usage: userpager $command .*PID" <<< "$help"; then takes_process=yes; fi
  if grep -q "^usage: userpager $command .*PID.* SIZE" <<< "$help"; then takes_size=yes; fi
  if grep -q "^usage: userpager $command .*program" <<< "$help"; then takes_program=yes; fi
  for ((i = 2; i < COMP_CWORD; i++)); do
    if [ "${COMP_WORDS[i]}" = -- ]; then
      _userpager_program $((i + 1))
      return
    elif [[ ${COMP_WORDS[i]} != -* ]]; then
      named=yes
      if [ "$takes_program" = no ]; then continue; fi
      _userpager_program "$i"
      return
    fi
    kind=$(sed -n "s/^  *${COMP_WORDS[i]} \([A-Z][A-Z]*\) .*/\1/p" <<< "$help" | head -n 1)
    if [ -z "$kind" ]; then continue; fi
    # Readline has the = of --option=value as a word of its own.
    value=$((i + 1))
    if [ "${COMP_WORDS[value]}" = = ]; then value=$((value + 1)); fi
    if [ "$value" -ge "$COMP_CWORD" ]; then
      _userpager_value "${current#=}" "${COMP_WORDS[i]}" "$kind"
      return
    fi
    i=$value
  done
  if [ "$takes_program" = yes ] && [[ $current != -* ]]; then
    _userpager_program "$COMP_CWORD"
  elif [ "$named$takes_size" = yesyes ]; then
    _userpager_value "$current" "" SIZE
  elif [ "$named$takes_process" = noyes ] && [[ $current != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_userpager_processes)" -- "$current")
  elif [ "$named$takes_file" = noyes ] && [[ $current != -* ]]; then
    _userpager_value "$current" "" FILE
  else
    local options
    options=$(grep -oE -- '--[a-z][a-z-]*' <<< "$help" | sort -u)
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$current")
  fi
}

complete -F _userpager userpager
