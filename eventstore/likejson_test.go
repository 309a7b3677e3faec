package eventstore

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"
)

// anything has members of all kinds that events may have.
type anything struct {
	Number  json.Number
	Pointer *json.Number
	Raw     json.RawMessage
	Any     any
	Big     *big.Int
	At      time.Time
	Map     map[string]int
	Bytes   []byte
	Named   int `json:"NAMED"`
	Took    time.Duration
	Float   float32
	Array   [3]int
	Inner   struct{ X int }
	Small   int8
	Quoted  int `json:",string"`
}

// FuzzLikeEncodingJSON compares with the library whose rules events are written by.
func FuzzLikeEncodingJSON(f *testing.F) {
	for _, data := range []string{
		`{"Number":12.5e3,"Pointer":7,"Raw":{"a": [1,2 ]},"Any":{"x":[1,null]},"Big":123456789012345678901234567890}`,
		`{"At":"2020-01-01T00:00:00+01:00","Map":{"a":1},"Bytes":"AQI=","named":4,"Took":5,"Float":1.5,"Array":[1,2],"Inner":{"x":1},"Quoted":"7"}`,
		`{"Number":"12"}`, `{"Number":"x"}`, `{"Number":null,"Pointer":null,"Map":null}`, `{"Number":[1]}`, `{"Small":300}`, `{"Quoted":7}`,
		`null`, `[]`, ``, `{} x`, `{"Small":1,}`, `{"a":1,"a":2,"NAMED":1,"named":2}`, `{"Any":"\ud800"}`, "{\"Any\":\"\xff\"}",
		`{"Array":[1,2,3,4]}`, `{"Took":"5s"}`, `{"Any":1e400}`, `{"Inner":null,"Inner":{"X":2}}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want anything
		wantErr := json.Unmarshal(data, &want)
		v, err := unmarshalAs[anything](data)
		got := v.(anything)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: error %v, encoding/json has %v", data, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) && !math.IsNaN(float64(want.Float)) {
			t.Fatalf("%q is %+v, to encoding/json %+v", data, got, want)
		}
	})
}
